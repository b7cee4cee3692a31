"""Where recipes and templates are found: the user's first, then the shipped ones, installed or in a
checkout.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from imagebuild.errors import UsageError
from imagebuild.recipe import folders
from imagebuild.recipe.load import load


def made(base: Path, *names: str) -> None:
    for name in names:
        (base / name).mkdir(parents=True)


def test_a_checkout_has_its_own_recipes() -> None:
    recipes = folders.shipped("recipes")
    assert recipes is not None
    assert (recipes / "debian-13.yaml").is_file()


def test_an_installed_package_finds_them_under_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "lib/imagebuild", "share/imagebuild/recipes", "user/share/imagebuild/kickstart")
    monkeypatch.setattr("imagebuild.__file__", str(tmp_path / "lib/imagebuild/__init__.py"))
    user = sysconfig.get_preferred_scheme("user")
    monkeypatch.setattr(sysconfig, "get_path", lambda _, scheme: str(tmp_path / ("user" if scheme == user else "")))
    assert folders.shipped("recipes") == tmp_path / "share/imagebuild/recipes"
    assert folders.shipped("kickstart") == tmp_path / "user/share/imagebuild/kickstart"
    assert folders.shipped("else") is None


def test_the_projects_own_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "recipes", "kickstart")
    own = tmp_path / "recipes/debian-13.yaml"
    own.write_text("name: mine\nos: {family: debian, version: 13, codename: trixie}\n")
    monkeypatch.chdir(tmp_path)
    assert load("debian-13").name == "mine"
    assert folders.template_folders(own)[0].resolve() == tmp_path / "kickstart"
    assert len(folders.template_folders(own)) == 2
    assert "debian-13" in folders.available(folders.recipe_folders())


def test_a_name_that_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        load("debain-13")
    assert caught.value.hint == "did you mean 'debian-13'?"
    with pytest.raises(UsageError) as caught:
        load("x", search=[])
    assert caught.value.hint == "give the path of a file"
