"""The man page matches the commands, and shell completion works."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from imagebuild.cli.main import cli
from imagebuild.cli.man_page import man_page

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "imagebuild.1"


def test_the_page_in_the_repository_matches_the_commands(golden: Callable[[Path, str], None]) -> None:
    golden(PAGE, man_page(cli))


def test_groff_reports_no_warnings() -> None:
    ran = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", "-K", "utf8", PAGE], capture_output=True, text=True, check=True
    )
    assert ran.stderr == ""


def test_the_page_describes_every_command_and_option() -> None:
    argv = ["groff", "-man", "-Tascii", "-P-cbou", "-K", "utf8", PAGE]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    for name, command in cli.commands.items():
        assert f"imagebuild {name}" in shown
        options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
        assert [option for option in options if option not in shown and option != "--help"] == []


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
