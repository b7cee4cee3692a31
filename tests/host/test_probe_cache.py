"""Cached answers of probes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagebuild.host.probe_cache import kept, known, of_files, once, unchanging


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "host.json"


def test_a_changed_file_invalidates_the_answer(file: Path, tmp_path: Path) -> None:
    program, other = tmp_path / "program", tmp_path / "other"
    program.write_text("one")
    asked = iter(range(10))

    def ask() -> dict[str, int]:
        return kept(file, "version", of_files([program, other]), lambda: {"number": next(asked)})

    assert [ask()["number"] for _ in range(3)] == [0, 0, 0]
    program.write_text("another")
    assert [ask()["number"] for _ in range(2)] == [1, 1]
    other.touch()
    assert [ask()["number"] for _ in range(2)] == [2, 2]
    os.utime(program, (1, 1))
    assert ask() == {"number": 3}


def test_answers_are_independent(file: Path) -> None:
    assert kept(file, "one", "", lambda: "first") == "first"
    assert kept(file, "two", "", lambda: 2) == 2
    assert kept(file, "one", "", lambda: "second") == "first"


def test_known_does_not_call_the_probe(file: Path) -> None:
    assert known(file, "one", "now") is None
    kept(file, "one", "now", lambda: "first")
    assert known(file, "one", "now") == "first"
    assert known(file, "one", "later") is None
    assert known(file, "two", "now") is None


@pytest.mark.parametrize("content", ["", "[]", "{", '{"one": 1}', '{"one": {"state": 1}}', "7"])
def test_an_invalid_cache_is_ignored(file: Path, content: str) -> None:
    file.write_text(content)
    assert kept(file, "one", "", lambda: "first") == "first"
    assert kept(file, "one", "", lambda: "second") == "first"


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    assert [kept(tmp_path / "no/folder", "one", "", lambda text=text: text) for text in ("a", "b")] == ["a", "b"]


def test_a_host_that_does_not_change_is_asked_once() -> None:
    asked: list[str] = []

    def ask(question: str) -> str | None:
        return once((question,), lambda: asked.append(question))

    with unchanging():
        assert [ask("tools"), ask("mirror"), ask("tools")] == [None, None, None]
        assert asked == ["tools", "mirror"]
    with unchanging():
        ask("tools")
    assert asked == ["tools", "mirror", "tools"]
    ask("tools")
    ask("tools")
    assert asked == ["tools", "mirror", "tools", "tools", "tools"]
