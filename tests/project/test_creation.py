"""A project created by ``imagebuild init`` is ready to build; the build itself is tested in
tests/e2e.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from imagebuild.errors import UsageError
from imagebuild.project.creation import create
from imagebuild.recipe.load import load

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
ROOT = Path(__file__).parents[2]


def imagebuild(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "imagebuild", *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "IMAGEBUILD_STORE": str(folder / "store")}
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    ran = imagebuild("init", "web-images", "--name", "web", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    return tmp_path / "web-images"


@pytest.mark.seconds
def test_its_recipe_is_found_and_clean(made: Path) -> None:
    recipe = made / "recipes/web.yaml"
    ran = imagebuild("lint", "web", folder=made)
    assert (ran.returncode, ran.stdout) == (0, "1 recipe, 1 image, 1 warning\n")
    assert "nobody can log in to a clone of this image" in ran.stderr
    text, _, login = recipe.read_text().partition("# How to log in")
    lines = login.replace("AAAA...", KEY).splitlines()[2:]
    recipe.write_text(text + "".join(f"{line.removeprefix('# ')}\n" for line in lines))
    ran = imagebuild("lint", "web", folder=made)
    assert (ran.returncode, ran.stderr) == (0, "note: package names of web were not checked: offline\n")
    listed = [json.loads(line) for line in imagebuild("list", "--json", folder=made).stdout.splitlines()]
    assert {"web", "debian-13"} <= {one["name"] for one in listed}


@pytest.mark.seconds
def test_it_can_be_planned(made: Path) -> None:
    ran = imagebuild("plan", "web", "--json", folder=made)
    assert ran.returncode == 0, ran.stderr
    planned = json.loads(ran.stdout)
    assert (planned["recipe"], [one["rule"] for one in planned["warnings"]]) == ("web", ["nobody-can-log-in"])


@pytest.mark.seconds
def test_its_recipe_adds_to_what_it_extends(made: Path) -> None:
    kickstart = imagebuild("render", "web", folder=made).stdout
    assert "\nzip\n" in kickstart
    assert "\ntree\n" in kickstart


@pytest.mark.seconds
def test_one_image_of_a_recipe_with_a_matrix(tmp_path: Path) -> None:
    assert imagebuild("init", "p", "--name", "web", "--from", "rocky-10", folder=tmp_path).returncode == 0
    ran = imagebuild("list", "--json", folder=tmp_path / "p")
    own = [one for one in map(json.loads, ran.stdout.splitlines()) if one["file"].startswith("recipes/")]
    assert [(one["name"], one["axes"], one["problems"]) for one in own] == [("web-10", {"version": 10}, 0)]
    assert imagebuild("lint", "web", folder=tmp_path / "p").returncode == 0


@pytest.mark.seconds
def test_the_schemas_are_where_its_files_say(made: Path) -> None:
    first = (made / "recipes/web.yaml").read_text().splitlines()[0]
    schema = made / "recipes" / first.partition("$schema=")[2]
    assert json.loads(schema.read_text())["properties"]["extends"]
    first = (made / "imagebuild.yaml").read_text().splitlines()[0]
    assert json.loads((made / first.partition("$schema=")[2]).read_text())["properties"]["hosts"]


@pytest.mark.seconds
def test_a_second_time_nothing_is_touched(made: Path) -> None:
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    ran = imagebuild("init", ".", "--name", "web", folder=made)
    assert ran.returncode == 2
    assert "already exists: README.md" in ran.stderr.replace("recipes/web.yaml, kickstart/README.md, ", "")
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("mine")
    create(tmp_path, "web", "debian-13", "none")
    assert (tmp_path / "LICENSE").read_text() == "mine"
    assert not (tmp_path / ".github").exists()


@pytest.mark.parametrize("name", ["", "two words", "../up", "-x", "x" * 64])
def test_a_name_that_no_image_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not a valid image name"):
        create(tmp_path, name, "debian-13", "none")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cloud_init", [False, True])
def test_every_variable_that_it_shows_is_used(tmp_path: Path, *, cloud_init: bool) -> None:
    create(tmp_path, "web", "debian-13", "none", cloud_init=cloud_init)
    text = (tmp_path / "recipes/web.yaml").read_text()
    shown = list(yaml.safe_load(text)["variables"])
    plain = re.sub(r"(^|\s)#.*", "", text)
    assert shown
    assert [name for name in shown if f"${{{name}}}" not in plain] == []
    assert "@" not in text.replace("you@example.org", "")


@pytest.mark.parametrize("cloud_init", [False, True])
def test_what_is_commented_out_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, cloud_init: bool) -> None:
    create(tmp_path, "web", "debian-13", "none", cloud_init=cloud_init)
    path = tmp_path / "recipes/web.yaml"
    text = path.read_text().replace("cloud_init: true ", "# cloud_init: true ").replace("AAAA...", KEY)
    begin = text.index("# How to log in") if not cloud_init else text.index("# cloud_init: ")
    lines = text[begin:].splitlines()[1:]
    path.write_text(text[:begin] + "".join(f"{line.removeprefix('#').removeprefix(' ')}\n" for line in lines))
    monkeypatch.chdir(tmp_path)
    made = load("web")
    assert ([user.name for user in made.users], made.cloud_init.enabled) == ([] if cloud_init else ["ops"], cloud_init)


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("base", "grown"),
    [("debian-12", False), ("debian-13-server", False), ("rocky-10", True)],  # Debian's have grow-root-at-first-boot
)
def test_a_project_with_cloud_init(tmp_path: Path, base: str, *, grown: bool) -> None:
    words = ("--name", "web", "--like", base, "--cloud-init", "--ci", "gitlab")
    assert imagebuild("init", "p", *words, folder=tmp_path).returncode == 0
    assert (tmp_path / "p/.gitlab-ci.yml").is_file()
    ran = imagebuild("lint", "web", folder=tmp_path / "p")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith("no problems found\n")
    name = json.loads(imagebuild("list", "--json", folder=tmp_path / "p").stdout.splitlines()[0])["name"]
    kickstart = imagebuild("render", name, folder=tmp_path / "p").stdout
    assert "\ncloud-init\n" in kickstart
    assert ("\ncloud-utils-growpart\n" in kickstart) == grown
    assert "\ncloud-guest-utils\n" not in kickstart
