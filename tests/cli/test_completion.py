"""Completion offers the same from the table as from the commands, and imports next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from imagebuild.cli.completion_table import light
from imagebuild.cli.main import cli

ROOT = Path(__file__).parents[2]


def offered(root: click.Group, words: list[str], incomplete: str) -> list[tuple[str, str, str | None]]:
    """Values, their types and helps."""
    found = ShellComplete(root, {}, "imagebuild", "_IMAGEBUILD_COMPLETE").get_completions(words, incomplete)
    return [(item.value, item.type, item.help) for item in found]


def leaves(group: click.Group, *words: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield from leaves(command, *words, name) if isinstance(command, click.Group) else [(*words, name)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(ROOT)


def parameters(command: click.Command) -> Iterator[list[str]]:
    """The words before a value of each option that takes one."""
    for one in command.params:
        if isinstance(one, click.Option) and not one.is_flag:
            yield [one.opts[0]]


@pytest.mark.seconds
@pytest.mark.parametrize("words", list(leaves(cli)), ids=" ".join)
def test_the_table_offers_what_the_commands_offer(words: tuple[str, ...]) -> None:
    table = light(cli)
    command: click.Command = cli
    for word in words:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    for more, incomplete in [([], "--"), ([], "deb"), ([], ""), *((option, "") for option in parameters(command))]:
        line = [*words, *more]
        assert offered(table, line, incomplete) == offered(cli, line, incomplete), (line, incomplete)
    assert any(value.startswith("--") for value, _, _ in offered(table, list(words), "--"))


@pytest.mark.parametrize("words", [[], ["operations"], ["shelf"]], ids=["top", "operations", "shelf"])
def test_commands_are_offered_with_their_help(words: list[str]) -> None:
    names = {value for value, _, _ in offered(cli, words, "")}
    assert {value for value, _, _ in offered(light(cli), words, "")} == names
    assert all(text for _, _, text in offered(light(cli), words, ""))


@pytest.mark.parametrize(
    ("line", "answer"),
    [("imagebuild li", "lint"), ("imagebuild lint --js", "--json"), ("imagebuild scrub --format q", "qcow2")],
)
def test_completion_imports_none_of_the_program(line: str, answer: str) -> None:
    report = "atexit.register(lambda: print(*sys.modules))"
    code = f"import atexit, sys; sys.argv = ['imagebuild']; {report}; from imagebuild.cli.main import main; main()"
    env = {
        **os.environ,
        "_IMAGEBUILD_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    *items, loaded = done.stdout.splitlines()
    assert f"plain,{answer}" in items
    assert set(loaded.split()) & {"pydantic", "yaml", "imagebuild.recipe.catalogue", "imagebuild.cli.lint"} == set()
