"""Where recipes and kickstart templates are searched: the user's project first, then what
imagebuild ships.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

import imagebuild
from imagebuild.host.looked_at import note_place

SUFFIX = ".yaml"


def shipped(folder: str) -> Path | None:
    """The shipped ``recipes`` or ``kickstart``: next to the package in a checkout, otherwise in
    share/imagebuild.
    """
    places = [base / folder for base in _bases(str(imagebuild.__file__))]
    for place in places:
        note_place(place)
    return next((place for place in places if place.is_dir()), None)


@cache
def _bases(package: str) -> tuple[Path, ...]:
    checkout = Path(package).resolve().parent.parent
    note_place(checkout / "pyproject.toml")
    bases = [checkout] if (checkout / "pyproject.toml").is_file() else []
    schemes = (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user"))
    return (*bases, *(Path(sysconfig.get_path("data", scheme)) / "share" / "imagebuild" for scheme in schemes))


def recipe_folders(project: Path | None = None) -> tuple[Path, ...]:
    """Where recipes are looked up by name: ``recipes`` of the project (default: the current
    folder), then the shipped ones.
    """
    return _existing([(project or Path()) / "recipes", shipped("recipes")])


def template_folders(recipe: Path | None = None, project: Path | None = None) -> tuple[Path, ...]:
    """Where kickstart templates are searched: next to the recipe's folder, in the project, then the
    shipped ones.
    """
    sibling = _beside(recipe.absolute()) if recipe else None
    return _existing([sibling, (project or Path()) / "kickstart", shipped("kickstart")])


@lru_cache(maxsize=64)  # the images of a matrix are of one file
def _beside(recipe: Path) -> Path:
    return recipe.resolve().parent.parent / "kickstart"


def _existing(folders: Sequence[Path | None]) -> tuple[Path, ...]:
    """Those that exist, each once, whatever its names."""
    found: dict[tuple[int, int], Path] = {}
    for folder in folders:
        if folder is not None:
            note_place(folder)
        if folder is not None and folder.is_dir():
            status = folder.stat()
            found.setdefault((status.st_dev, status.st_ino), folder)
    return tuple(found.values())


def available(search: Sequence[Path]) -> dict[str, Path]:
    """Every recipe by name; of several with one name, the first folder's is used."""
    found: dict[str, Path] = {}
    for folder in search:
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            found.setdefault(path.stem, path)
    return found


def by_default() -> tuple[Path, ...]:
    """The recipes that are meant where none is named: the project's own, or the shipped ones where
    there is no project.
    """
    found = (available([folder]) for folder in recipe_folders())
    return tuple(next(filter(None, found), {}).values())


def is_path(path_or_name: str) -> bool:
    """Whether a recipe is given as a path rather than a name."""
    return "/" in path_or_name or path_or_name.endswith((SUFFIX, ".yml"))
