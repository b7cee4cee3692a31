"""The installer that a recipe names: a folder of the package with a module ``installer``.

Only this module knows the installers by name.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from imagebuild.anaconda import installer as anaconda
    from imagebuild.kickstrap import installer as kickstrap
    from imagebuild.recipe.model.recipe import Recipe
    from imagebuild.step import Installer

    # Type checkers compare them with the protocol.
    KNOWN: tuple[Installer, ...] = (kickstrap, anaconda)


def of(recipe: Recipe) -> Installer:
    """The recipe's installer; no other is imported."""
    return cast("Installer", importlib.import_module(f"imagebuild.{recipe.installer.type}.installer"))
