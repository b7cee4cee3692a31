"""Where recipes and kickstart templates are sought: the user's project first, then what imagebuild brings along."""

from __future__ import annotations

import sysconfig
from collections.abc import Sequence
from pathlib import Path

import imagebuild
from imagebuild.errors import UsageError
from imagebuild.recipe.findings import did_you_mean

SUFFIX = ".yaml"


def shipped(folder: str) -> Path | None:
    """imagebuild's own ``recipes`` or ``kickstart``: beside the package in a checkout, else under share/imagebuild."""
    beside = Path(str(imagebuild.__file__)).resolve().parent.parent
    bases = [beside] if (beside / "pyproject.toml").is_file() else []
    schemes = (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user"))
    bases += [Path(sysconfig.get_path("data", scheme)) / "share" / "imagebuild" for scheme in schemes]
    return next((base / folder for base in bases if (base / folder).is_dir()), None)


def recipe_folders(project: Path | None = None) -> tuple[Path, ...]:
    """Where recipes are looked up by name: ``recipes`` of the project (default: here), then the shipped ones."""
    return _existing([(project or Path()) / "recipes", shipped("recipes")])


def template_folders(recipe: Path | None = None, project: Path | None = None) -> tuple[Path, ...]:
    """Where kickstart templates are sought: beside the recipe's folder, in the project, then the shipped ones."""
    beside = recipe.resolve().parent.parent / "kickstart" if recipe else None
    return _existing([beside, (project or Path()) / "kickstart", shipped("kickstart")])


def _existing(folders: Sequence[Path | None]) -> tuple[Path, ...]:
    found: dict[Path, Path] = {}
    for folder in folders:
        if folder is not None and folder.is_dir():
            found.setdefault(folder.resolve(), folder)
    return tuple(found.values())


def available(search: Sequence[Path]) -> dict[str, Path]:
    """Every recipe by name; the first folder wins."""
    found: dict[str, Path] = {}
    for folder in search:
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            found.setdefault(path.stem, path)
    return found


def find(path_or_name: str, search: Sequence[Path]) -> Path:
    """The file of a recipe. A path (with a ``/`` or ``.yaml``) is taken as it is; a name is looked up.

    Raises UsageError, with the names there are, when no recipe is called so.
    """
    if "/" in path_or_name or path_or_name.endswith((SUFFIX, ".yml")):
        return Path(path_or_name)
    found = available(search)
    if path_or_name in found:
        return found[path_or_name]
    places = " and ".join(str(folder) for folder in search) or "any folder"
    hint = did_you_mean(path_or_name, found) or (f"known: {', '.join(found)}" if found else "give the path of a file")
    raise UsageError(f"there is no recipe {path_or_name!r} in {places}", hint)
