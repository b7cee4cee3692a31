"""list, lint, render --recipe and --var, for projects with several files and images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from test_main import Imagebuild, imagebuild

from imagebuild.build import tool_versions
from imagebuild.cli.main import cli
from imagebuild.kickstrap import known_packages
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.step import Tools

__all__ = ["imagebuild"]

FILES = {
    "base/debian.yaml": (
        'os: {family: debian, version: 13, codename: trixie}\nvariables: {site: {type: text, '
        'choices: [bonn, ulm]}}\n'
        'operations: [remove-ssh-host-keys, reset-machine-id, remove-network-identity, remove-udev-rules, '
        'remove-random-seed, remove-device-records, run-command: {command: passwd -d root}]\n'
    ),
    "web.yaml": "extends: base/debian.yaml\nname: web-${size}\ndescription: for ${site}\nmatrix: {size: [1, 2]}\n"
    "variables: {site: {default: ulm}}\n",
    "broken.yaml": "extends: base/debian.yaml\nname: broken\ndisk: {size: 4}\n",
}  # fmt: skip


@pytest.fixture
def recipes(tmp_path: Path, imagebuild: Imagebuild, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a matrix, a base and a broken recipe, as the current folder."""
    for name, text in FILES.items():
        path = tmp_path / "project/recipes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project/recipes"


def test_list_shows_every_image(recipes: Path, imagebuild: Imagebuild) -> None:
    lines = imagebuild("list").stdout.splitlines()
    assert lines[0].split()[:5] == ["broken", "(2", "problems,", "see", "`imagebuild"]
    assert [line.split() for line in lines[1:3]] == [
        ["web-1", "for", "ulm", "recipes/web.yaml"],
        ["web-2", "for", "ulm", "recipes/web.yaml"],
    ]
    found = [json.loads(line) for line in imagebuild("list", "--json", "--var", "site=bonn").stdout.splitlines()]
    assert found[1] == {
        "schema": 1, "event": "image",
        "name": "web-1", "description": "for bonn", "file": "recipes/web.yaml", "axes": {"size": 1}, "problems": 0,
    }  # fmt: skip
    assert found[0]["problems"] == 1
    assert imagebuild("list", "--var", "sit=bonn").returncode == 2


def test_lint_names_file_and_line(recipes: Path, imagebuild: Imagebuild) -> None:
    done = imagebuild("lint", "web", "broken", "--var", "site=bonn")
    assert done.returncode == 2
    assert done.stderr.startswith("recipes/broken.yaml:3: disk.size: expected a size")
    assert imagebuild("lint", "web").stdout == "1 recipe, 2 images, no problems found\n"
    assert imagebuild("lint", "web-2").stdout == "1 recipe, 1 image, no problems found\n"


def test_a_value_that_does_not_fit_or_is_not_known(recipes: Path, imagebuild: Imagebuild) -> None:
    done = imagebuild("render", "web-1", "--var", "site=bon")
    assert (done.returncode, done.stderr.splitlines()[:2]) == (
        2,
        [
            "--var site: variables.site: expected 'bonn' or 'ulm', found 'bon'",
            "    hint: did you mean 'bonn'?",
        ],
    )
    done = imagebuild("plan", "web-1", "--var", "sit=bonn")
    assert (done.returncode, done.stderr) == (
        2,
        "imagebuild: --var sit: none of these recipes has this variable\n    hint: did you mean 'site'?\n",
    )
    assert imagebuild("render", "web-1", "--var", "site").returncode == 2
    assert "yields 2 images, but exactly one is needed here" in imagebuild("render", "web").stderr


def test_plan_goes_through_all_images(recipes: Path, imagebuild: Imagebuild) -> None:
    names = [json.loads(line)["recipe"] for line in imagebuild("plan", "web", "--json").stdout.splitlines()]
    assert names == ["web-1", "web-2"]


def test_plan_looks_at_the_host_once(recipes: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mirror, tools = iter([Mirror()]), iter([Tools("1", "2", "3")])
    monkeypatch.setattr(known_packages, "_mirror", lambda _: next(mirror))
    monkeypatch.setattr(tool_versions, "_tools", lambda _: next(tools))
    done = CliRunner().invoke(cli, ["plan", "web", "web", "--store", str(tmp_path / "store")])
    assert [line.split()[0] for line in done.stdout.splitlines() if line[0] != " "] == ["web-1", "web-2"] * 2
    assert [*mirror, *tools] == []


def test_render_prints_the_recipe(recipes: Path, imagebuild: Imagebuild) -> None:
    done = imagebuild("render", "web-2", "--recipe", "--var", "site=bonn")
    assert "description: for bonn  # recipes/web.yaml:3\n" in done.stdout
    assert "  site: bonn  # --var site\n" in done.stdout
    kickstart = imagebuild("render", "web-2", "--var", "site=bonn").stdout
    (recipes / "copy.yaml").write_text(done.stdout)
    assert kickstart.startswith("# web-2: Debian 13\n")
    assert imagebuild("render", "recipes/copy.yaml").stdout == kickstart


def test_the_shell_completes_names_of_files_and_images(recipes: Path) -> None:
    shell = ShellComplete(cli, {}, "imagebuild", "_IMAGEBUILD_COMPLETE")
    found = [item.value for item in shell.get_completions(["build"], "web")]
    assert found == ["web", "web-1", "web-2"]
    assert "broken" in [item.value for item in shell.get_completions(["lint"], "b")]
