"""`inspect` and `diff` of artifacts with an inventory: what IMAGE may be, outputs, gates, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imagebuild import scrub
from imagebuild.cli.main import cli
from imagebuild.cli.man_page import man_page
from imagebuild.contents import gates
from imagebuild.errors import UsageError
from tests.contents.inventories import CHANGED, HOSTILE, artifact, inventory

ROOT = Path(__file__).parents[2]


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two versions of one recipe; no disk may be read."""
    artifact(tmp_path / "artifacts", inventory(), version="2026-11-28.1")
    artifact(tmp_path / "artifacts", CHANGED.inventory)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scrub, "inventories", None)
    return tmp_path / "artifacts"


def ran(*words: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result


def refused(*words: str | Path) -> UsageError:
    error = CliRunner().invoke(cli, [str(word) for word in words]).exception
    assert isinstance(error, UsageError), error
    return error


@pytest.mark.parametrize(
    "name",
    [
        "web",
        "artifacts/web",
        "artifacts/web/latest",
        "artifacts/web/2026-11-29.1",
        "artifacts/web/latest/web.qcow2",
        "artifacts/web/2026-11-29.1/web.qcow2",
    ],
)
def test_what_image_may_be(artifacts: Path, name: str) -> None:
    found = json.loads(ran("inspect", name, "--json").stdout)
    assert found["version"] == "2026-11-29.1"
    assert found["image"] == str(artifacts / "web/2026-11-29.1/web.qcow2")
    assert found["source"] == "inventory"


def test_output_says_where_artifacts_are(artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifacts.rename(artifacts.with_name("elsewhere"))
    assert ran("inspect", "web", "--output", "elsewhere", "--json").stdout


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("wob", "wob is neither a file nor a folder, nor a recipe with an artifact in artifacts", "web"),
        ("../web", "is neither a file", "give an image file"),
        ("nowhere/x.qcow2", "is neither a file", "give an image file"),
        (".", "has no manifest.json", "give an image file"),
        ("debian-13", "debian-13 has no finished artifact in artifacts", "imagebuild build debian-13"),
    ],
)
def test_what_image_may_not_be(artifacts: Path, name: str, said: str, hint: str) -> None:
    error = refused("inspect", name)
    assert said in error.message
    assert error.hint
    assert hint in error.hint


def test_a_folder_whose_manifest_names_something_else(artifacts: Path) -> None:
    image = artifacts / "web/latest/web.qcow2"
    image.unlink()
    image.symlink_to("/etc/passwd")
    assert "does not contain the image" in refused("inspect", artifacts / "web/latest").message
    (artifacts / "web/latest/manifest.json").write_text("{}")
    assert "manifest.json cannot be used" in refused("inspect", artifacts / "web/latest").message


def test_the_table_is_safe_to_print(artifacts: Path) -> None:
    shown = ran("inspect", "web").stdout
    assert "Debian GNU/Linux 13.1 (trixie) (x86_64)" in shown
    assert "\x1b" not in shown
    assert "\\x1b]0;owned" in shown


def test_json_has_the_exact_names_in_ascii(artifacts: Path) -> None:
    text = ran("inspect", "web", "--json", "--all").stdout
    assert text.isascii()
    assert text.count("\n") == 1
    found = json.loads(text)
    assert HOSTILE in [one["path"] for one in found["files"]]
    assert found["operations"] == [{"name": "clean-logs", "status": "changed", "changes": 1}]
    assert found["used"] == inventory().used


def test_a_picture_is_written(artifacts: Path) -> None:
    ran("inspect", "web", "--svg", "disk.svg")
    assert Path("disk.svg").read_text().startswith("<svg ")


def test_a_manifest_that_does_not_belong_is_reported(artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = artifacts / "web/latest/web.qcow2"
    image.write_bytes(image.read_bytes() + b"x")
    monkeypatch.setattr(scrub, "inventories", lambda guests, **options: [inventory() for _ in guests])
    result = ran("inspect", image, "--store", "store", "--json")
    assert "note: manifest.json beside the image is not used: the image has 513 bytes" in result.stderr
    found = json.loads(result.stdout)
    assert (found["source"], found["version"], found["operations"]) == ("disk", "", None)


def test_from_disk(artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrub, "inventories", lambda guests, **options: [inventory() for _ in guests])
    found = json.loads(ran("inspect", "web", "--from-disk", "--store", "store", "--json").stdout)
    assert (found["source"], found["version"], found["packages"]) == ("disk", "2026-11-29.1", inventory().packages)


def test_images_without_inventory_are_read_together_and_once(artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(
        scrub, "inventories", lambda guests, **options: [calls.append(len(guests)) or inventory() for _ in guests]
    )
    for name in ("a.raw", "b.raw"):
        Path(name).write_bytes(bytes(4096))
    ran("diff", "a.raw", "b.raw", "--store", "store")
    ran("diff", "a.raw", "a.raw", "--store", "store")
    ran("diff", "a.raw", "web", "--store", "store")
    assert calls == [2, 2, 1, 1]


def test_diff(artifacts: Path) -> None:
    shown = ran("diff", "artifacts/web/2026-11-28.1", "web").stdout
    assert "packages: 1 added, 1 removed, 1 upgraded, 1 downgraded" in shown
    assert "\x1b" not in shown
    assert "the contents are the same" in ran("diff", "web", "web").stdout


def test_diff_as_markdown(artifacts: Path) -> None:
    shown = ran("diff", "artifacts/web/2026-11-28.1", "web", "--markdown").stdout
    assert shown.startswith("### What changes in the image\n")
    assert "<b>" not in shown.replace("`x` <b>", "")
    assert "mutually exclusive" in refused("diff", "web", "web", "--markdown", "--json").message


def test_gates(artifacts: Path) -> None:
    words = [word for name in ("new-user", "package-removed", "size-growth=10%") for word in ("--fail-on", name)]
    result = ran("diff", "artifacts/web/2026-11-28.1", "web", "--json", *words, code=1)
    assert result.stderr.splitlines() == [
        "new-user: 1 account is new: eve (uid 1000)",
        "package-removed: 1 package is removed: vim",
    ]
    assert [one["gate"] for one in json.loads(result.stdout)["gates"]] == ["new-user", "package-removed"]
    ran("diff", "web", "artifacts/web/2026-11-29.1", *words)


def test_an_unknown_gate_is_wrong_usage_and_lists_the_gates(artifacts: Path) -> None:
    result = ran("diff", "web", "web", "--fail-on", "new-users", code=2)
    assert all(name in " ".join(result.output.split()) for name in gates.names())


@pytest.mark.parametrize("command", ["inspect", "diff"])
def test_the_help_has_examples(command: str) -> None:
    shown = ran(command, "--help").stdout
    assert f"imagebuild {command} " in shown.partition("Examples:")[2]
    assert f"imagebuild {command}" in man_page(cli).replace("\\-", "-")


@pytest.mark.seconds
@pytest.mark.parametrize("words", [["inspect", "web"], ["diff", "artifacts/web/2026-11-28.1", "web"]])
def test_nothing_that_works_on_disks_is_imported(artifacts: Path, words: list[str]) -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "imagebuild", *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "imagebuild.store.beside" in modules
    assert modules.isdisjoint({"guestfs", "libvirt", "imagebuild.scrub", "imagebuild.customise.process", "rich"})


@pytest.mark.seconds
def test_names_are_completed(artifacts: Path) -> None:
    env = {**os.environ, "_IMAGEBUILD_COMPLETE": "bash_complete", "COMP_WORDS": "imagebuild inspect debian-13-",
           "COMP_CWORD": "2", "PYTHONPATH": str(ROOT)}  # fmt: skip
    code = "from imagebuild.cli.main import cli; cli.main(prog_name='imagebuild')"
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["plain,debian-13-server", "file,debian-13-"]
