"""``imagebuild store``: what it prints, for people and for programs, and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagebuild.build import engine
from imagebuild.recipe.load import load
from imagebuild.store.store import Store

ROOT = Path(__file__).parents[2]
RECIPE = """\
name: web
os: {family: debian, version: 13, codename: trixie}
vm: {virt_type: qemu}
installer: {mirror: "http://mirror.example/debian"}
operations: [reset-machine-id]
"""
pytestmark = pytest.mark.seconds


def imagebuild(*words: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "imagebuild", *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "IMAGEBUILD_STORE": str(folder / "local"), **more}
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)


def lines(ran: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    return [one for one in found if one["event"] not in ("step", "note")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a remote store, and a local store with the runtime of its recipe's installer."""
    (tmp_path / "remote").mkdir()
    (tmp_path / "key").write_text("k" * 64)
    (tmp_path / "imagebuild.yaml").write_text("store: {remote: remote, key: {file: key}}\n")
    (tmp_path / "web.yaml").write_text(RECIPE)
    store = Store(tmp_path / "local")
    step = engine.make_plan(load(tmp_path / "web.yaml"), store).before[0]
    with store.make(step.kind, step.fingerprint, within=store.root, label="web", inputs=step.inputs) as made:
        (made / "root.tar").write_bytes(os.urandom(100_000))
    return tmp_path


def test_results_are_pushed_listed_verified_pulled_and_pruned(folder: Path) -> None:
    pushed = imagebuild("store", "push", "./web.yaml", "--json", folder=folder)
    assert (pushed.returncode, pushed.stderr) == (0, "")
    states = {str(one["step"]): one["outcome"] for one in lines(pushed)}
    assert states == {
        "runtime": "pushed", "tree": "missing", "payload": "missing", "install": "missing", "customise": "missing",
        "convert": "missing",
    }  # fmt: skip
    again = imagebuild("store", "push", "./web.yaml", "--json", folder=folder)
    assert [one["outcome"] for one in lines(again) if one["step"] == "runtime"] == ["there"]
    (entry,) = lines(imagebuild("store", "ls", "--json", folder=folder))
    assert (entry["kind"], entry["recipe"], entry["problem"]) == ("runtime", "web", "")
    listed = imagebuild("store", "ls", folder=folder)
    assert listed.stdout.splitlines()[-1] == "1 entry in remote"
    assert lines(imagebuild("store", "verify", "--json", folder=folder))[0]["good"] is True
    planned = imagebuild("plan", "./web.yaml", "--ask-remote", "--store", "fresh", folder=folder)
    assert "  runtime    remote  installer" in planned.stdout
    pulled = imagebuild("store", "pull", "./web.yaml", "--store", "fresh", "--json", folder=folder)
    assert (pulled.returncode, {one["step"]: one["outcome"] for one in lines(pulled)}["runtime"]) == (0, "pulled")
    assert list((folder / "fresh").glob("runtime/*/root.tar"))
    (pruned,) = lines(imagebuild("store", "prune", "--max-size", "1KiB", "--json", folder=folder))
    assert (pruned["dry_run"], len(pruned["removed"])) == (False, 1)  # type: ignore[arg-type]
    assert imagebuild("store", "ls", folder=folder).stdout == "0 entries in remote\n"


def test_a_poisoned_entry_has_exit_code_1_and_can_be_removed(folder: Path) -> None:
    imagebuild("store", "push", "./web.yaml", folder=folder)
    (chunk,) = folder.glob("remote/chunks/*/*")
    chunk.write_bytes(b"poison")
    ran = imagebuild("store", "verify", folder=folder)
    assert ran.returncode == 1
    assert "a part of it is damaged" in ran.stdout
    assert "1 entry of the remote store remote would not be taken" in ran.stderr
    assert imagebuild("store", "verify", "--remove", folder=folder).returncode == 1
    assert imagebuild("store", "verify", folder=folder).returncode == 0
    assert not list(folder.glob("remote/chunks/*/*"))


def test_names_from_the_remote_place_are_escaped(folder: Path) -> None:
    imagebuild("store", "push", "./web.yaml", folder=folder)
    (record,) = folder.glob("remote/entries/runtime/*")
    record.write_bytes(record.read_bytes().replace(b'"label":"web"', b'"label":"\\u001b[31m"'))
    ran = imagebuild("store", "ls", folder=folder)
    assert "altered after it was sealed" in ran.stdout
    assert "\x1b" not in ran.stdout


def test_without_a_remote_store_the_usage_is_wrong(folder: Path) -> None:
    ran = imagebuild("store", "ls", "--remote-store", "none", folder=folder)
    assert ran.returncode == 2
    assert "no remote store is named" in ran.stderr


def test_a_remote_store_that_is_away_has_exit_code_3(folder: Path) -> None:
    ran = imagebuild("store", "ls", folder=folder, IMAGEBUILD_REMOTE_STORE=str(folder / "nowhere"))
    assert ran.returncode == 3
    assert "is not there" in ran.stderr


def test_a_web_server_without_encryption_is_refused(folder: Path) -> None:
    ran = imagebuild("store", "ls", "--remote-store", "http://store.example/x", folder=folder)
    assert ran.returncode == 2
    assert "http encrypts nothing" in ran.stderr
