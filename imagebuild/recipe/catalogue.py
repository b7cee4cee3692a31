"""The images that can be built by name: those of the project's recipes, then those of the shipped
recipes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imagebuild.errors import Problem, RecipeError, UsageError
from imagebuild.recipe.compose.images import RecipeImage, compose
from imagebuild.recipe.folders import available
from imagebuild.recipe.yaml import reader
from imagebuild.schema.findings import did_you_mean


@dataclass(frozen=True)
class Listed:
    """An image of the catalogue, or a recipe file that yields none because of ``error``."""

    name: str
    file: Path
    image: RecipeImage | None = None
    error: RecipeError | None = None


def images_of(path: Path, search: Sequence[Path], given: Mapping[str, str] | None = None) -> tuple[RecipeImage, ...]:
    """The images that a file yields.

    Files that it extends are also searched in ``search``. Raises RecipeError.
    """
    return compose(reader.read(path), path, search, given).images()


def catalogue(search: Sequence[Path], given: Mapping[str, str] | None = None) -> Iterator[Listed]:
    """All images in the folders; an image in an earlier folder hides one of the same name in a
    later folder.
    """
    names: set[str] = set()
    files = available(search)
    for folder in search:
        listed = [
            one
            for path in files.values()
            if path.parent == folder
            for one in _listed(path, search, given)
            if one.name not in names
        ]
        yield from listed
        names |= {one.name for one in listed}


def _listed(path: Path, search: Sequence[Path], given: Mapping[str, str] | None) -> Iterator[Listed]:
    try:
        for image in images_of(path, search, given):
            yield Listed(image.name or path.stem, path, image)
    except RecipeError as error:
        yield Listed(path.stem, path, error=error)


def images_called(name: str, search: Sequence[Path], given: Mapping[str, str] | None = None) -> tuple[RecipeImage, ...]:
    """The images of the file ``name``, or the image of that name.

    Earlier folders take precedence, and in a folder a file takes precedence over an image. Raises
    UsageError with the closest match if nothing has that name, and RecipeError for a file with
    problems.
    """
    known: dict[str, None] = {}
    broken: list[Path] = []
    for folder in search:
        files = available([folder])
        if name in files:
            return images_of(files[name], search, given)
        listed = [one for path in files.values() for one in _listed(path, search, given)]
        named = [one for one in listed if one.name == name and one.image]
        if len(named) > 1:
            places = " and ".join(str(one.file) for one in named)
            raise UsageError(f"two recipes yield an image {name!r}: {places}", "rename one of them")
        if named and named[0].image:
            return (named[0].image,)
        known |= dict.fromkeys([*files, *(one.name for one in listed)])
        broken += [one.file for one in listed if one.error]
    places = " and ".join(str(folder) for folder in search) or "any folder"
    hint = did_you_mean(name, known) or ("`imagebuild list` shows all" if known else "give the path of a file")
    if broken:
        hint += (
            f"; {', '.join(map(str, broken[:3]))}{', …' if len(broken) > 3 else ''} cannot be read: see imagebuild lint"
        )
    raise UsageError(f"there is no recipe {name!r} in {places}", hint)


def clashes(images: Iterable[RecipeImage]) -> Iterator[Problem]:
    """Problems of images with the same name from files of one folder: the name would be ambiguous."""
    first: dict[tuple[Path, str], RecipeImage] = {}
    for image in images:
        if image.name is None:
            continue
        other = first.setdefault((image.source.parent, image.name), image)
        if other.source != image.source:
            mark = image.document().mark(("name",))
            message = f"{other.source} also yields an image {image.name!r}"
            yield Problem(mark.file, mark.value, "name", message, "rename one of them")
