"""``imagebuild hosts`` and the options that select hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = """\
hosts:
  kvm1: {uri: qemu+ssh://root@kvm1/system, labels: [dc1]}
  old: {uri: qemu+tcp://old/system, insecure: true}
targets:
  mirror: {url: images}
groups:
  canary: [kvm1]
  outer: [canary, mirror]
"""
pytestmark = pytest.mark.seconds


def imagebuild(*words: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "imagebuild", *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "imagebuild.yaml").write_text(TEXT)
    return tmp_path


def rows(ran: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    assert ran.stderr == ""
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_everything_is_listed(folder: Path) -> None:
    ran = imagebuild("hosts", folder=folder)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [
        "kvm1    qemu+ssh://root@kvm1/system; pool default; labels dc1; groups canary, outer",
        "old     qemu+tcp://old/system; pool default; insecure",
        "mirror  images; groups outer",
        "canary  group: kvm1",
        "outer   group: kvm1, mirror",
    ]


def test_json_has_every_key_and_the_line(folder: Path) -> None:
    found = rows(imagebuild("hosts", "--json", folder=folder))
    assert found[0] == {
        "schema": 1, "event": "host", "name": "kvm1", "kind": "host",
        "insecure": False, "uri": "qemu+ssh://root@kvm1/system", "pool": "default",
        "labels": ["dc1"], "shell": True, "sudo": False,
        "groups": ["canary", "outer"], "file": "imagebuild.yaml", "line": 2,
    }  # fmt: skip
    assert found[-1] == {"schema": 1, "event": "group", "name": "outer", "kind": "group", "members": ["kvm1", "mirror"],
                         "file": "imagebuild.yaml", "line": 8}  # fmt: skip


def test_to_shows_what_it_selects(folder: Path) -> None:
    found = rows(imagebuild("hosts", "--to", "outer", "--to", "./x,qemu:///system", "--json", folder=folder))
    assert [(one["name"], one["kind"]) for one in found] == [
        ("kvm1", "host"), ("mirror", "target"), ("./x", "target"), ("qemu:///system", "host"),
    ]  # fmt: skip
    assert "line" not in found[-1]


def test_config_names_the_file(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere, file = tmp_path_factory.mktemp("elsewhere"), str(folder / "imagebuild.yaml")
    assert len(rows(imagebuild("hosts", "--config", file, "--json", folder=elsewhere))) == 5
    assert len(rows(imagebuild("hosts", "--json", folder=elsewhere, IMAGEBUILD_CONFIG=file))) == 5
    ran = imagebuild("hosts", folder=elsewhere)
    assert ran.returncode == 2
    assert "there is no imagebuild.yaml here" in ran.stderr
    assert len(rows(imagebuild("hosts", "--to", "qemu:///system", "--json", folder=elsewhere))) == 1


def test_problems_have_exit_code_2_and_their_lines(folder: Path) -> None:
    (folder / "imagebuild.yaml").write_text("hosts:\n  a: {uri: qemu+tcp://h/system}\n  b: {urii: x}\n")
    ran = imagebuild("hosts", folder=folder)
    assert ran.returncode == 2
    lines = [line for line in ran.stderr.splitlines() if not line.startswith(" ")]
    assert [line.split(": ")[:2] for line in lines] == [
        ["imagebuild.yaml:2", "hosts.a.uri"],
        ["imagebuild.yaml:3", "hosts.b.urii"],
    ]
    assert "did you mean 'uri'?" in ran.stderr
    shown = json.loads(imagebuild("hosts", "--json", folder=folder).stdout)
    assert [one["line"] for one in shown["problems"]] == [2, 3]


_EMPTY = "imagebuild.yaml has no hosts and no targets yet: add them under hosts: or targets:\n"


def test_a_file_without_entries_is_no_error(folder: Path) -> None:
    (folder / "imagebuild.yaml").write_text("hosts:\n")
    ran = imagebuild("hosts", folder=folder)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", _EMPTY)


def test_names_are_completed(folder: Path) -> None:
    env = {**os.environ, "_IMAGEBUILD_COMPLETE": "bash_complete", "COMP_WORDS": "imagebuild hosts --to ",
           "COMP_CWORD": "3", "PYTHONPATH": str(ROOT)}  # fmt: skip
    code = "from imagebuild.cli.main import cli; cli.main(prog_name='imagebuild')"
    ran = subprocess.run([sys.executable, "-c", code], env=env, cwd=folder, capture_output=True, text=True, check=True)
    names = [line.partition(",")[2] for line in ran.stdout.splitlines()]
    assert names == ["kvm1", "old", "mirror", "canary", "outer", "all", "label=dc1"]
