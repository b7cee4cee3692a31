"""The syntax version that a recipe's kickstart is parsed with."""

from __future__ import annotations

from pykickstart.version import versionMap

from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.model.syntax import Syntax, default


def of(recipe: Recipe) -> Syntax:
    """The recipe's own choice, or the syntax of its distribution and version."""
    return Syntax(recipe.kickstart.syntax) if recipe.kickstart.syntax else default(recipe.os, versionMap)
