"""``imagebuild rebuild`` before it builds: what it refuses, and what it shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagebuild.cli import rebuild
from imagebuild.errors import UsageError
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.recipe.load import load
from imagebuild.reproduce import rebuilding
from imagebuild.reproduce.differences import Difference
from imagebuild.reproduce.origin import read
from imagebuild.reproduce.rebuilding import Comparison
from imagebuild.reproduce.temporary_store import store_beside
from imagebuild.store.artifact import Artifact
from imagebuild.store.store import Store
from tests.reproduce.manifests import manifest

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
NOWHERE = "installer: {mirror: 'http://127.0.0.1:9/debian'}\n"


def run(folder: Path, *argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "imagebuild", "rebuild", *argv, "--store", folder / "store"],
        cwd=folder, check=False, capture_output=True, text=True, timeout=120, env=ENVIRONMENT,
    )  # fmt: skip


def refused(folder: Path, *argv: str | Path) -> str:
    done = run(folder, *argv)
    assert done.returncode == 2, done.stderr
    assert not done.stdout
    assert not (folder / "rebuilt").exists()
    return done.stderr


@pytest.mark.seconds
def test_what_cannot_be_the_same(tmp_path: Path) -> None:
    folder = manifest(tmp_path, NOWHERE)
    done = run(tmp_path, folder, "--dry-run")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "cannot be the same:"
    assert any(line.startswith("  qemu: 10.0 → ") for line in lines)
    assert any(line.startswith("  step payload: pppppppppppp → ") for line in lines)
    assert any(line.startswith("  packages: 1 package → not looked up: ") for line in lines)
    assert not (tmp_path / "rebuilt").exists()


@pytest.mark.seconds
def test_the_same_as_json(tmp_path: Path) -> None:
    done = run(tmp_path, manifest(tmp_path, NOWHERE) / "manifest.json", "--dry-run", "--json")
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert (found["event"], found["recipe"]) == ("rebuild_planned", "web")
    assert {"what", "was", "now"} == set(found["obstacles"][0])


@pytest.mark.seconds
def test_a_recipe_that_uses_this_host_needs_consent(tmp_path: Path) -> None:
    folder = manifest(
        tmp_path,
        NOWHERE + "root: {password: {env: SECRET}}\noperations: [{copy-in: {source: /etc/shadow, path: /x}}]\n",
    )
    said = refused(tmp_path, folder)
    assert "root.password: environment variable SECRET; operations[0].copy-in.source: file /etc/shadow" in said
    assert "--trust-manifest" in said
    assert (
        run(tmp_path, folder, "--trust-manifest", "--dry-run").returncode != 0
    )  # SECRET is not set, or the mirror is unreachable


@pytest.mark.seconds
def test_another_recipe_is_refused(tmp_path: Path) -> None:
    folder = manifest(tmp_path, NOWHERE)
    (tmp_path / "other.yaml").write_text("extends: web.yaml\nname: other\n")
    assert "is the recipe of other, but the manifest is that of web" in refused(
        tmp_path, folder, "--recipe", "./other.yaml"
    )
    assert run(tmp_path, folder, "--recipe", "./web.yaml", "--dry-run").returncode == 0


@pytest.mark.seconds
def test_the_original_is_out_of_reach(tmp_path: Path) -> None:
    folder = manifest(tmp_path, NOWHERE)
    assert "where the rebuild would become the latest version" in refused(tmp_path, folder, "--output", "artifacts")
    (folder / "web.qcow2").write_bytes(b"altered!")
    assert "is not the image in its manifest" in refused(tmp_path, folder)
    (folder / "web.qcow2").unlink()
    assert "does not contain web.qcow2" in refused(tmp_path, folder)


def test_a_store_of_its_own_leaves_only_evidence(tmp_path: Path) -> None:
    known, output = Store(tmp_path / "known"), tmp_path / "rebuilt"
    known.probe_cache.write_text("{}")
    with pytest.raises(UsageError) as caught, store_beside(output, known) as store:
        assert store.probe_cache.read_text() == "{}"
        evidence = store.failure_folder("web")
        evidence.mkdir(parents=True, exist_ok=True)
        (evidence / "console.log").write_text("so it ended")
        error = UsageError("x")
        error.evidence = evidence
        raise error
    assert caught.value.evidence == output / "failures" / "web"
    assert (output / "failures" / "web" / "console.log").read_text() == "so it ended"
    assert [path.name for path in output.iterdir()] == ["failures"]
    with store_beside(output, known):
        pass
    assert [path.name for path in output.iterdir()] == ["failures"]


def test_the_store_of_a_killed_rebuild_is_removed(tmp_path: Path) -> None:
    known, output = Store(tmp_path / "known"), tmp_path / "rebuilt"
    Store(output / ".rebuild-dead")
    (output / ".rebuild-foreign").mkdir()
    (output / ".rebuild-foreign" / "thesis.tex").touch()
    (output / ".rebuild-link").symlink_to(tmp_path / "known")
    with store_beside(output, known) as mine, store_beside(output, known) as other:
        assert mine.root.is_dir()
        assert mine.root != other.root
        assert not (output / ".rebuild-dead").exists()
    assert sorted(path.name for path in output.iterdir()) == [".rebuild-foreign", ".rebuild-link"]
    assert (tmp_path / "known").is_dir()


def test_what_is_special_about_a_rebuild(tmp_path: Path) -> None:
    manifest(tmp_path)
    recipe = load(tmp_path / "web.yaml")
    assert rebuilding.conditions(recipe, None) == set()
    assert rebuilding.conditions(recipe, Mirror("https://mirror.example/debian", dated=True)) == {"mirror"}
    (tmp_path / "other.yaml").write_text("extends: web.yaml\ninstaller: {payload: in-vm}\nroot: {password: {env: A}}\n")
    assert rebuilding.conditions(load(tmp_path / "other.yaml"), None) == {"packages in the VM", "secrets"}


def test_differences_are_listed_by_reason(tmp_path: Path) -> None:
    folder = manifest(tmp_path)
    made = Artifact(folder, "web", "2026-11-29.1")
    found = (
        Difference("file", "/a\x1b[31m", "content"),
        Difference("file", "/b", "content", "it is random"),
        *(Difference("file", f"/c{number}", "content", "times") for number in range(32)),
    )
    lines = list(rebuild._lines(read(folder), made, Comparison(identical=False, differences=found), everything=False))
    assert lines[0] == "web  2026-11-28.1 → 2026-11-29.1: 33 expected differences, 1 not expected"
    assert lines[1] == "not expected:"
    assert lines[3:5] == ["expected, since it is random:", "  file       /b: content"]
    assert lines[-2] == "  … 2 more, with --all"
    assert (
        len(list(rebuild._lines(read(folder), made, Comparison(identical=False, differences=found), everything=True)))
        == 39
    )
    same = list(rebuild._lines(read(folder), made, Comparison(identical=True, differences=()), everything=False))
    assert same[0].endswith(": identical, byte by byte")
