"""The man page matches the commands, and shell completion works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from imagebuild.cli import completion_table
from imagebuild.cli.command_reference import reference
from imagebuild.cli.main import cli
from imagebuild.cli.man_page import man_page

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "imagebuild.1"


def test_the_page_in_the_repository_matches_the_commands(golden: Callable[[Path, str], None]) -> None:
    golden(PAGE, man_page(cli))


def test_the_reference_matches_the_commands(golden: Callable[[Path, str], None]) -> None:
    golden(ROOT / "docs" / "commands.md", reference(cli))


def test_groff_reports_no_warnings() -> None:
    ran = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", "-K", "utf8", PAGE], capture_output=True, text=True, check=True
    )
    assert ran.stderr == ""


def test_the_table_of_completion_matches_the_commands(golden: Callable[[Path, str], None]) -> None:
    golden(completion_table.TABLE, completion_table.table(cli))


def leaves(group: click.Group, *words: str) -> Iterator[tuple[str, click.Command]]:
    """All commands that are not groups, with their words."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, *words, name)
        else:
            yield " ".join((*words, name)), command


@pytest.mark.parametrize("document", ["imagebuild.1", "commands.md"])
def test_every_command_and_option_is_described(document: str) -> None:
    """Each option in the section of its command: many have the same names."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8").replace("\\-", "-")
    title = ".SS imagebuild " if document.endswith(".1") else "## imagebuild "
    sections = {part.splitlines()[0]: part for part in text.split(f"\n{title}")[1:]}
    for name, command in leaves(cli):
        [found] = [part for head, part in sections.items() if head == name or head.startswith(f"{name} [") or
                   re.match(rf"{name} [A-Z{{(]", head)]  # fmt: skip
        options = [option for one in command.params if isinstance(one, click.Option) for option in one.opts]
        missing = [option for option in options if not re.search(rf"{re.escape(option)}\b", found)]
        assert missing == [], name


@pytest.mark.parametrize(
    ("shell", "name"), [("bash", "imagebuild"), ("zsh", "_imagebuild"), ("fish", "imagebuild.fish")]
)
def test_the_packaged_completion_scripts_are_what_the_command_prints(
    shell: str, name: str, golden: Callable[[Path, str], None]
) -> None:
    golden(ROOT / "completion" / name, CliRunner().invoke(cli, ["completion", shell], prog_name="imagebuild").output)


def completed(*words: str, folder: Path) -> list[str]:
    """What bash would offer for the last word."""
    env = {**os.environ, "_IMAGEBUILD_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["imagebuild", *words]),
           "COMP_CWORD": str(len(words)), "PYTHONPATH": str(ROOT)}  # fmt: skip
    code = "from imagebuild.cli.main import cli; cli.main(prog_name='imagebuild')"
    ran = subprocess.run([sys.executable, "-c", code], env=env, cwd=folder, capture_output=True, text=True, check=False)
    return [line.partition(",")[2] for line in ran.stdout.splitlines()]


@pytest.mark.seconds
def test_names_of_recipes_are_completed(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes/zebra.yaml").write_text("name: zebra\nos: {family: debian, version: 13, codename: trixie}\n")
    assert completed("build", "zeb", folder=tmp_path) == ["zebra"]
    assert "operations" in completed("op", folder=tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(shell: str) -> None:
    argv = [sys.executable, "-m", "imagebuild", "completion", shell]
    script = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "_IMAGEBUILD_COMPLETE" in script
