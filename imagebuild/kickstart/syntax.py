"""The syntax version that a recipe's kickstart is parsed with."""

from __future__ import annotations

from pykickstart.version import versionMap

from imagebuild.kickstart import syntax_version
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.model.syntax import KICKSTRAP, Syntax, default


def of(recipe: Recipe) -> Syntax:
    """The recipe's own choice, or the syntax of its distribution and version."""
    return Syntax(recipe.kickstart.syntax) if recipe.kickstart.syntax else default(recipe.os, versionMap)


def of_text(recipe: Recipe, text: str) -> str:
    """The syntax to parse the rendered ``text`` with.

    For Debian, whose installer reads all of them, the text itself may name an older one, which is
    read with the commands that only the installer's own has added: ``RHEL6+F43``.
    """
    chosen = of(recipe).name
    if recipe.os.family != "debian":
        return chosen
    if recipe.kickstart.syntax is None:
        chosen = syntax_version.own(text).version
    return KICKSTRAP if chosen in {KICKSTRAP, syntax_version.NEWEST} else f"{chosen}+{KICKSTRAP}"
