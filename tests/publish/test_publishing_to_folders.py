"""The command itself publishes to real folders, and is killed or interrupted on the way."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagebuild.machine.domain_xml import definition
from imagebuild.publish import state
from tests.machine.machines import recipe

SIZE = 24 << 20
FOLDERS = ("one", "two", "three")
pytestmark = pytest.mark.seconds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for version in (1, 2):
        artifact = tmp_path / f"v{version}"
        artifact.mkdir()
        data = bytes([version]) * SIZE
        (artifact / "small.qcow2").write_bytes(data)
        (artifact / "small.xml").write_text(definition(recipe("")))
        image = {
            "file": "small.qcow2", "format": "qcow2", "size": SIZE, "virtual_size": SIZE,
            "sha256": hashlib.sha256(data).hexdigest(),
        }  # fmt: skip
        content: dict[str, Any] = {"name": "small", "version": str(version), "image": image, "fingerprint": "f"}
        content["verification"] = {"verdict": "passed"}
        (artifact / "manifest.json").write_text(json.dumps(content))
    for name in FOLDERS:
        (tmp_path / name).mkdir()
    return tmp_path


def started(folder: Path, *words: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "imagebuild", *words]
    env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    return subprocess.Popen(
        argv, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def run(folder: Path, *words: str) -> tuple[int, str]:
    process = started(folder, *words)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def publish(version: int, *more: str) -> list[str]:
    return ["publish", f"./v{version}", "--to", ",".join(f"./{name}" for name in FOLDERS), *more]


def current(folder: Path, name: str) -> str:
    """The current version of a folder, all of whose versions have the bytes that the record says."""
    path = folder / name / "small.json"
    if not path.exists():
        return ""
    found = state.decoded(path.read_bytes(), "small")
    for version in found.versions:
        for file in version.files:
            assert hashlib.sha256((folder / name / file.name).read_bytes()).hexdigest() == file.sha256
    return found.current


def until(what: Callable[[], Any]) -> None:
    for _ in range(6000):
        if what():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def test_all_commands_on_real_folders(folder: Path) -> None:
    for version in (1, 2):
        code, output = run(folder, *publish(version))
        assert (code, output.splitlines()[-1]) == (0, "3 switched"), output
    code, output = run(folder, "rollback", "small", "--on", "./two")
    assert (code, current(folder, "two")) == (0, "1"), output
    path = next((folder / "three").glob("small--1--*"))
    path.chmod(0o600)
    path.write_bytes(bytes(SIZE))
    where = ",".join(f"./{name}" for name in FOLDERS)
    code, output = run(folder, "templates", "--on", where, "--check")
    assert (code, f"altered: {path.name}" in output) == (1, True), output
    code, output = run(folder, "prune", "--keep", "1", "--on", "./one", "--yes")
    assert code == 0, output
    assert [one.name.split("--")[1] for one in (folder / "one").glob("*.qcow2")] == ["2"]


def test_a_killed_publisher_leaves_the_old_version_or_the_new_one(folder: Path) -> None:
    begin = time.monotonic()
    assert run(folder, *publish(1))[0] == 0
    whole = time.monotonic() - begin
    dice = random.Random(15)
    records = [folder / name / "small.json" for name in FOLDERS]
    first = [path.read_bytes() for path in records]
    for turn in range(8):
        process = started(folder, *publish(2))
        time.sleep(dice.uniform(0.3, 1.0) * whole)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert {current(folder, name) for name in FOLDERS} <= {"1", "2"}
        for path, content in zip(records, first, strict=True):
            path.write_bytes(content)  # what was sent becomes a leftover, which the next turn meets
            for left in path.parent.glob("*small--2--*") if turn % 2 else ():
                left.unlink()
    code, output = run(folder, *publish(2))
    assert code == 0, output
    assert [current(folder, name) for name in FOLDERS] == ["2", "2", "2"]
    for name in FOLDERS:
        assert run(folder, "prune", "--keep", "2", "--yes", "--on", f"./{name}")[0] == 0
        named = {file.name for one in state.decoded((folder / name / "small.json").read_bytes(), "small").versions
                 for file in one.files}  # fmt: skip
        assert {one.name for one in (folder / name).iterdir() if "small--" in one.name} == named


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_publisher_says_what_was_switched(folder: Path, signum: signal.Signals) -> None:
    check = ["--canary", "1", "--canary-check", "touch checking; sleep 600"]
    process = started(folder, *publish(1, *check))
    until(lambda: (folder / "checking").exists() or process.poll() is not None)
    process.send_signal(signum)
    output, _ = process.communicate()
    assert process.returncode == 130, output
    assert "1 interrupted, 2 not started" in output
    assert [current(folder, name) for name in FOLDERS] == ["1", "", ""]
