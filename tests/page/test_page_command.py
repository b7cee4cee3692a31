"""``imagebuild page`` as its user calls it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import page_artifacts
import pytest
from click.testing import CliRunner, Result

from imagebuild.cli.json_output import schema
from imagebuild.cli.main import cli
from imagebuild.errors import UsageError
from imagebuild.nightly.journal import ImageMemory, NightlyJournal


def run(folder: Path, *arguments: str) -> Result:
    options = ["--output", str(folder / "artifacts"), "--store", str(folder / "store")]
    return CliRunner().invoke(cli, ["page", str(folder / "public"), *arguments, *options])


def test_the_last_line_is_the_index(tmp_path: Path) -> None:
    page_artifacts.artifact(tmp_path / "artifacts", "web")
    done = run(tmp_path, "--title", "Our images")
    assert done.exit_code == 0, done.output
    index = Path(done.stdout.splitlines()[-1])
    assert index == tmp_path / "public/index.html"
    assert "<h1>Our images</h1>" in index.read_text()


def test_json_says_what_was_written_and_fits_its_schema(tmp_path: Path) -> None:
    import jsonschema

    page_artifacts.artifact(tmp_path / "artifacts", "web")
    lines = [json.loads(line) for line in run(tmp_path, "--json").stdout.splitlines()]
    for line in lines:
        jsonschema.validate(line, schema("page"))
    assert lines[-1]["event"] == "page"
    assert (lines[-1]["images"], lines[-1]["versions"], lines[-1]["kept"]) == (1, 1, 0)
    again = json.loads(run(tmp_path, "--json").stdout.splitlines()[-1])
    assert (again["kept"], again["removed"]) == (1, 0)


def test_without_pygal_a_note_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page_artifacts.artifact(tmp_path / "artifacts", "web")
    monkeypatch.setitem(sys.modules, "pygal", None)
    assert "pip install 'imagebuild[pictures]'" in run(tmp_path).stderr


def test_an_image_without_artifacts_is_an_error_of_usage(tmp_path: Path) -> None:
    page_artifacts.artifact(tmp_path / "artifacts", "web")
    done = run(tmp_path, "wbe")
    assert isinstance(done.exception, UsageError)
    assert not (tmp_path / "public").exists()


def test_what_nightly_runs_know_is_shown(tmp_path: Path) -> None:
    """A page that is written by hand into the folder of a nightly run does not lose it."""
    made = page_artifacts.artifact(tmp_path / "artifacts", "web")
    memory = ImageMemory(refused={made.version: ("package-removed: 1 package is removed: vim",)})
    journal = NightlyJournal(tmp_path / "artifacts")
    with journal.alone():
        journal.write("web", memory)
    assert run(tmp_path).exit_code == 0
    text = (tmp_path / "public/images/web" / made.version / "index.html").read_text()
    assert "gates failed" in text
    assert "1 package is removed: vim" in text
