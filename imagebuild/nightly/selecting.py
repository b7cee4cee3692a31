"""Which images a nightly run builds, and what it does with each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagebuild.errors import ImageBuildError, Problem, RecipeError, UsageError
from imagebuild.project.model import Project
from imagebuild.project.nightly import NightlyImage
from imagebuild.project.select import Destination, select
from imagebuild.recipe import load
from imagebuild.recipe.folders import available
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.schema.findings import did_you_mean

_RECIPES = Path("recipes")
TO = "nightly.publish.to"


@dataclass(frozen=True)
class WantedImage:
    """An image to build. ``verify`` is None if that is left to the recipe."""

    recipe: Recipe
    verify: bool | None
    gates: tuple[str, ...]
    to: tuple[Destination, ...]
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The image's name."""
        return self.recipe.name


@dataclass(frozen=True)
class BrokenImage:
    """An image, or a recipe with all its images, that cannot be loaded."""

    name: str
    error: ImageBuildError


@dataclass(frozen=True)
class Selected:
    """What is to be built, in the order of the file, and what cannot be."""

    wanted: tuple[WantedImage, ...]
    broken: tuple[BrokenImage, ...]


def selected(project: Project, names: Sequence[str] = ()) -> Selected:
    """The images of the project's file, or those of them that ``names`` names: images or recipes.

    A recipe that cannot be loaded stops no other one. Raises UsageError for names that nothing has, and
    for a place to publish to that does not exist.
    """
    found: dict[str, WantedImage | BrokenImage] = {}
    origins: dict[str, str] = {}
    for entry in _entries(project):
        for one in _loaded(project, entry):
            if one.name not in found:
                found[one.name], origins[one.name] = one, entry.recipe
    if not found:
        raise UsageError(
            f"there is no recipe in {_RECIPES}, and {project.file} names none under nightly.images",
            "run it in the folder of the project, or create a project with `imagebuild init`",
        )
    if unknown := [name for name in names if name not in found and name not in origins.values()]:
        hint = did_you_mean(unknown[0], [*found, *origins.values()])
        raise UsageError(f"{unknown[0]} is not among the images of nightly", hint)
    chosen = [one for name, one in found.items() if not names or name in names or origins[name] in names]
    return Selected(
        tuple(one for one in chosen if isinstance(one, WantedImage)),
        tuple(one for one in chosen if isinstance(one, BrokenImage)),
    )


def _entries(project: Project) -> Sequence[NightlyImage]:
    if project.nightly.images:
        return project.nightly.images
    found = available([_RECIPES]) if _RECIPES.is_dir() else {}
    return [NightlyImage(recipe=str(path)) for path in found.values()]


def _loaded(project: Project, entry: NightlyImage) -> Iterator[WantedImage | BrokenImage]:
    """The images of an entry."""
    nightly = project.nightly
    words = nightly.publish.to if entry.to is None else entry.to
    to = select(project, words, TO) if words else ()
    gates = nightly.gates if entry.gates is None else entry.gates
    verify = nightly.verify if entry.verify is None else entry.verify
    name = Path(entry.recipe).name.removesuffix(".yaml")
    try:
        images = load.select(entry.recipe, given=entry.given)
        _check_names(entry, [one.name or "" for one in images])
    except ImageBuildError as error:
        yield BrokenImage(name, error)
        return
    for image in images:
        if entry.only and image.name not in entry.only:
            continue
        try:
            recipe = load.checked(image)
            _check_variables(entry, recipe)
        except ImageBuildError as error:
            yield BrokenImage(image.name or name, error)
        else:
            yield WantedImage(recipe, verify, gates, to, entry.given)


def _check_names(entry: NightlyImage, names: Sequence[str]) -> None:
    for name in entry.only:
        if name not in names:
            raise UsageError(f"nightly.images: {entry.recipe} yields no image {name!r}", did_you_mean(name, names))


def _check_variables(entry: NightlyImage, recipe: Recipe) -> None:
    for name in entry.variables:
        if name not in recipe.variables:
            hint = did_you_mean(name, recipe.variables)
            raise UsageError(f"nightly.images: {entry.recipe} has no variable {name!r}", hint)


def problems(error: ImageBuildError) -> tuple[str, ...]:
    """The problems of a recipe; see :func:`lines`."""
    return lines(error.problems) if isinstance(error, RecipeError) else ()


def lines(found: Iterable[Problem]) -> tuple[str, ...]:
    """A line for each problem, and below it one for its hint."""
    return tuple(line for one in found for line in (str(one), *((f"    hint: {one.hint}",) if one.hint else ())))
