"""Recipes for tests, written as YAML."""

from __future__ import annotations

from pathlib import Path

from imagebuild.errors import RecipeError
from imagebuild.recipe.load import validate
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.yaml.reader import parse

MINIMAL = """\
name: small
os: {family: debian, version: 13, codename: trixie}
"""


def recipe(more: str = "", base: str = MINIMAL, file: str = "small.yaml") -> Recipe:
    """The minimal recipe with additional lines."""
    return validate(parse(base + more, file), Path(file))


def problems(more: str = "", base: str = MINIMAL) -> list[str]:
    """The problems of the minimal recipe with additional lines; the hint follows in brackets."""
    try:
        recipe(more, base)
    except RecipeError as error:
        return [f"{p} [{p.hint}]" if p.hint else str(p) for p in error.problems]
    return []
