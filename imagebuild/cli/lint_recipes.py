"""The part of ``imagebuild lint`` that checks recipes. `lint` of a kickstart file does without it."""

from __future__ import annotations

import gc
from pathlib import Path

from imagebuild.build import installers, package_names
from imagebuild.build import plan as plans
from imagebuild.build.package_names import NamedPackages
from imagebuild.cli.options import opened, refuse_unknown
from imagebuild.errors import HostError, RecipeError
from imagebuild.kickstart.merged_report import Gathered
from imagebuild.recipe.catalogue import clashes
from imagebuild.recipe.compose.images import RecipeImage
from imagebuild.recipe.folders import by_default
from imagebuild.recipe.load import checked_all, select
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.store.store import Store


def known() -> tuple[str, ...]:
    """The recipes that are checked where none is named."""
    return tuple(map(str, by_default()))


def lint_recipes(
    names: tuple[str, ...], given: dict[str, str], found: Gathered, *, store: Path | None, offline: bool
) -> tuple[int, list[str]]:
    """Add the findings of these recipes to ``found``. Returns the number of images that they yield,
    and notes about what could not be checked.
    """
    images, named = _lint(names, given, found)
    wrong, notes = package_names.look_up(named, _usable(store) if named else None, offline=offline)
    for of_one in wrong:
        found.tell(of_one)
    return images, notes


def _usable(store: Path | None) -> Store | None:
    """The store, which only caches here; None if it cannot be used."""
    try:
        return opened(store)
    except HostError:
        return None


def _lint(names: tuple[str, ...], given: dict[str, str], found: Gathered) -> tuple[int, list[NamedPackages]]:
    """Add the findings of these recipes to ``found``. Returns the number of images that they yield,
    and the packages that they name.
    """
    images: list[RecipeImage] = []
    checked: list[Recipe] = []
    named: list[NamedPackages] = []
    for name in names:
        try:
            selected = select(name, given=given)
            images += selected
            checked += checked_all(selected)
        except RecipeError as error:
            found.tell(error.problems)
    gc.freeze()  # the recipes stay until the end: no collection needs to look at them
    try:
        for recipe in checked:
            _survey(recipe, found, named)
    finally:
        gc.unfreeze()
    found.tell(clashes(images))
    if not found.images:
        refuse_unknown(given, (recipe.variables for recipe in checked))
    return len(images), named


def _survey(recipe: Recipe, found: Gathered, named: list[NamedPackages]) -> None:
    try:
        rendered, report = plans.survey(recipe, installers.of(recipe).look_here(recipe))
        found.add(report)
        named.append(NamedPackages.of(recipe, rendered, report))
    except RecipeError as error:
        found.tell(error.problems)
