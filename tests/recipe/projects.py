"""Projects of several recipe files for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from imagebuild.errors import ImageBuildError, RecipeError
from imagebuild.recipe.load import load_all
from imagebuild.recipe.model.recipe import Recipe

OS = "os: {family: debian, version: 13, codename: trixie}\n"


def project(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files into the project's ``recipes``; returns that folder."""
    for name, text in files.items():
        path = folder / "recipes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "recipes"


def images(folder: Path, files: Mapping[str, str], **given: str) -> list[Recipe]:
    """All images of ``a.yaml`` in a project."""
    recipes = project(folder, files)
    return load_all(recipes / "a.yaml", search=[recipes], given=given)


def image(folder: Path, files: Mapping[str, str], **given: str) -> Recipe:
    """The only image of ``a.yaml``."""
    (only,) = images(folder, files, **given)
    return only


def problems_in(folder: Path, files: Mapping[str, str], **given: str) -> list[str]:
    """The problems of ``a.yaml``, without the folder; the hint follows in brackets."""
    try:
        images(folder, files, **given)
    except RecipeError as error:
        lines = [f"{p} [{p.hint}]" if p.hint else str(p) for p in error.problems]
        return [line.replace(f"{folder}/recipes/", "").replace(f"{folder}/recipes", "recipes") for line in lines]
    except ImageBuildError as error:
        return [error.message]
    return []
