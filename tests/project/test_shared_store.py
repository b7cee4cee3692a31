"""The section ``store`` of the project's file, the option and the environment."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from imagebuild.errors import RecipeError, UsageError
from imagebuild.project import schema
from imagebuild.project.load import load, validate
from imagebuild.recipe.yaml.reader import parse
from imagebuild.remote.opening import chosen, open_remote

PAGE = Path(__file__).parents[2] / "docs" / "remote-store.md"
TEXT = PAGE.read_text(encoding="utf-8")


def project(folder: Path, text: str) -> Path:
    path = folder / "imagebuild.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("store:\n  remote: http://host/store\n", 2, "http encrypts nothing"),
        ("store:\n  remote: s3://images/x\n  endpoint: http://host\n", 3, "http encrypts nothing"),
        ("store:\n  remote: https://user:secret@host/store\n", 2, "no user name or password"),
        ("store:\n  remote: ftp://host/store\n", 2, "expected the path of a folder"),
        ("store:\n  remote: sftp://host/x\n  known_hosts_file: /dev/null\n", 3, "accepts any machine"),
        ("store:\n  remote: /srv/x\n  region: here\n", 3, "for s3:// only"),
        ("store:\n  remote: /srv/x\n  identity_file: id\n", 3, "for sftp:// only"),
        ("store:\n  remote: s3://images/x\n  access_key: {env: A}\n", 3, "expected both"),
        ("store:\n  push: sometimes\n", 2, "sometimes"),
        ("store:\n  key: plain text\n", 2, "must not contain a secret"),
        ("store:\n  keep: 0\n", 2, "1"),
        ("store:\n  remotes: /srv/x\n", 2, "remote"),
    ],
)
def test_problems_have_their_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(project(tmp_path, text))
    (problem,) = caught.value.problems
    assert (problem.line, message in f"{problem.message} {problem.hint}") == (line, True), str(problem)
    assert "secret@" not in str(caught.value)


def test_the_option_wins_and_keeps_the_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 64)
    found = load(project(tmp_path, "store: {remote: s3://images/x, region: here, key: {file: key}, push: never}\n"))
    settings = chosen(found.store, found.folder, str(tmp_path))
    assert settings is not None
    assert (settings.entry.kind, settings.entry.push, settings.entry.region) == ("folder", "never", None)
    with open_remote(settings) as remote:
        assert not remote.pushes
    of_the_file = chosen(found.store, found.folder, None)
    assert of_the_file is not None
    assert of_the_file.entry.remote == "s3://images/x"


def test_without_a_remote_there_is_none(tmp_path: Path) -> None:
    found = load(project(tmp_path, "store: {push: never}\n"))
    assert chosen(found.store, found.folder, None) is None
    assert chosen(None, tmp_path, None) is None
    assert chosen(found.store, found.folder, "none") is None
    assert chosen(None, tmp_path, str(tmp_path)) is not None


@pytest.mark.parametrize("given", ["http://host/store", "ftp://host/x", "sftp://user:secret@host/x"])
def test_an_option_that_is_not_safe_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(UsageError, match="--remote-store"):
        chosen(None, tmp_path, given)


def test_a_missing_key_is_an_error(tmp_path: Path) -> None:
    found = load(project(tmp_path, f"store: {{remote: {tmp_path}, key: {{file: missing}}}}\n"))
    settings = chosen(found.store, found.folder, None)
    assert settings is not None
    with pytest.raises(UsageError, match="cannot be read"):
        open_remote(settings)


def test_the_keys_in_the_documentation_match_the_model(golden: Callable[[Path, str], None]) -> None:
    begin, end = re.search(r"<!-- keys: begin .*? -->\n", TEXT), TEXT.index("<!-- keys: end -->")
    assert begin is not None
    golden(PAGE, TEXT[: begin.end()] + schema.table("store") + TEXT[end:])


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
def test_the_examples_in_the_documentation_are_valid(text: str) -> None:
    assert validate(parse(text, "imagebuild.yaml"), Path("imagebuild.yaml")).store
