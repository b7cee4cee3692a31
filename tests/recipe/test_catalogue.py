"""Which images can be built by name, and which image a name means."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import OS, project

from imagebuild.errors import RecipeError, UsageError
from imagebuild.recipe.catalogue import catalogue, clashes
from imagebuild.recipe.load import load, load_all, select

MATRIX = f"name: debian\n{OS}matrix: {{flavour: [minimal, server]}}\n"


def names(*search: Path) -> list[str]:
    return [one.name for one in catalogue(search)]


def test_every_image_of_every_file_is_listed(tmp_path: Path) -> None:
    files = {"debian.yaml": MATRIX, "web.yaml": f"name: www\n{OS}", "base/b.yaml": OS, "broken.yaml": "a: b: c\n"}
    recipes = project(tmp_path, files)
    assert names(recipes) == ["broken", "debian-minimal", "debian-server", "www"]
    (broken, *others) = catalogue([recipes])
    assert broken.error is not None
    assert [one.image.axes for one in others if one.image] == [{"flavour": "minimal"}, {"flavour": "server"}, {}]


def test_a_name_is_a_file_or_an_image(tmp_path: Path) -> None:
    recipes = project(tmp_path, {"debian.yaml": MATRIX, "www.yaml": f"name: x\n{OS}", "x.yaml": f"name: www\n{OS}"})
    search = [recipes]
    assert [one.name for one in load_all("debian", search=search)] == ["debian-minimal", "debian-server"]
    assert load("debian-server", search=search).variables == {"flavour": "server"}
    assert load("www", search=search).name == "x"


def test_the_projects_own_hide_the_shipped_ones(tmp_path: Path) -> None:
    own = project(tmp_path / "own", {"debian.yaml": MATRIX, "mine.yaml": f"name: web\n{OS}description: own\n"})
    shipped = project(
        tmp_path / "shipped",
        {"debian.yaml": f"name: debian\n{OS}", "web.yaml": f"name: web\n{OS}", "other.yaml": f"name: other\n{OS}"},
    )
    assert names(own, shipped) == ["debian-minimal", "debian-server", "web", "other"]
    assert load("web", search=[own, shipped]).description == "own"
    assert load("other", search=[own, shipped]).name == "other"


def test_a_name_that_does_not_exist(tmp_path: Path) -> None:
    recipes = project(tmp_path, {"debian.yaml": MATRIX, "broken.yaml": "- x\n"})
    with pytest.raises(UsageError, match="there is no recipe 'debian-sever'") as caught:
        load("debian-sever", search=[recipes])
    assert caught.value.hint == (
        f"did you mean 'debian-server'?; {recipes}/broken.yaml cannot be read: see imagebuild lint"
    )


def test_a_name_that_two_files_have(tmp_path: Path) -> None:
    recipes = project(tmp_path, {"one.yaml": f"name: web\n{OS}", "two.yaml": f"#\nname: web\n{OS}"})
    with pytest.raises(UsageError, match="two recipes yield an image 'web'"):
        load("web", search=[recipes])
    (problem,) = clashes(image for name in ("one", "two") for image in select(recipes / f"{name}.yaml"))
    assert str(problem) == f"{recipes}/two.yaml:2: name: {recipes}/one.yaml also yields an image 'web'"


def test_a_broken_image_does_not_keep_the_others_from_loading(tmp_path: Path) -> None:
    text = f"name: n\n{OS}matrix: {{a: {{good: {{}}, bad: {{disk: {{size: 4}}}}}}}}\n"
    recipes = project(tmp_path, {"a.yaml": text})
    assert load("n-good", search=[recipes]).name == "n-good"
    with pytest.raises(RecipeError, match=r"disk\.size"):
        load("n-bad", search=[recipes])
