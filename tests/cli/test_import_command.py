"""``imagebuild import``: from a command line to a recipe that lints clean."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imagebuild.cli.main import cli


def run(*args: str, stdin: str = "") -> Result:
    return CliRunner().invoke(cli, ["import", "virt-customize", *args], input=stdin)


def test_a_command_line() -> None:
    ran = run(
        "--", "-a", "x.qcow2", "--install", "nginx,curl", "--root-password", "password:geheim", "--edit", "/a:s/b/c/"
    )
    assert ran.exit_code == 0
    assert ran.stdout.startswith("operations:\n  - install-packages: {packages: [nginx, curl]}\n")
    assert "geheim" not in ran.output
    assert ran.stderr == "2 operations; 1 option without a full equivalent: see the comments\n"


def test_the_name_of_the_tool_may_come_first() -> None:
    ran = run("--", "virt-sysprep", "-d", "web", "--enable", "machine-id")
    assert (ran.stdout, ran.stderr) == ("operations:\n  - reset-machine-id\n", "1 operation\n")


def test_standard_input() -> None:
    assert run("-", stdin="mkdir /srv\n").stdout == "operations:\n  - create-folder: {path: /srv}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "cannot be read: No such file or directory"), (b"\xff", "is not UTF-8 text"), (b"# x\n", "has no options")],
)
def test_files_without_commands(tmp_path: Path, text: bytes | None, message: str) -> None:
    path = tmp_path / "commands.txt"
    if text is not None:
        path.write_bytes(text)
    ran = run(str(path))
    assert ran.exit_code != 0
    assert message in str(ran.exception)


@pytest.mark.seconds
def test_the_result_is_a_recipe_that_lints_clean(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for name in ("app.conf", "setup.sh", "key.pub"):
        (tmp_path / "files" / name).write_text("#!/bin/sh\n")
    (tmp_path / "build.sh").write_text(
        "PKGS=nginx,curl\n"
        "virt-customize -a x --install $PKGS --upload files/app.conf:/etc/app.conf --run files/setup.sh \\\n"
        "  --firstboot-command 'echo ${HOSTNAME}' --write '/etc/motd:no' --hostname $HOST --edit '/a:s/b/c/'\n"
        "virt-sysprep -a x\n"
    )
    made = run(str(tmp_path / "build.sh"))
    recipe = tmp_path / "web.yaml"
    # the recipe that it extends scrubs, too: its operations are replaced
    operations = made.stdout.replace("operations:\n", "operations:\n  replace:\n", 1)
    recipe.write_text(f"extends: debian-13.yaml\nname: web\n{operations}")
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "imagebuild", "lint", str(recipe), "--store", str(tmp_path / "store")]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env)
    assert (ran.returncode, ran.stderr) == (0, "note: package names of web were not checked: offline\n")
    assert "no problems found" in ran.stdout
