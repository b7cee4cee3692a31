"""What IMAGE of ``verify`` and ``run`` names: an artifact, or an image file."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

from imagebuild.errors import UsageError
from imagebuild.recipe.folders import available, recipe_folders
from imagebuild.schema.findings import did_you_mean
from imagebuild.store.artifact import LATEST, MANIFEST, Artifact, ArtifactFolder

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def target(name: str, output: Path) -> Artifact | Path:
    """The artifact of a folder, of one of its images, or the latest of a recipe; else an image file.

    Raises UsageError if there is no such image.
    """
    path = Path(name)
    if path.is_dir():
        folder = path / LATEST if (path / LATEST).is_dir() and not (path / MANIFEST).exists() else path
        found = _artifact(folder.resolve())
        if found is None:
            raise UsageError(
                f"{folder} has no {MANIFEST}, so it is not the folder of an artifact", "give an image file"
            )
        return found
    if path.exists():
        image = path.resolve()
        with suppress(OSError, ValueError, UsageError):  # any folder may have a file manifest.json
            found = _artifact(image.parent)
            if found is not None and image == found.image.resolve():
                return found
        return image
    latest = ArtifactFolder(output, name).latest() if _NAME.fullmatch(name) else None
    if latest is not None:
        return Artifact(latest.folder.resolve(), latest.recipe, latest.version)
    if name in available(recipe_folders()):
        raise UsageError(
            f"{name} has no finished artifact in {output}",
            f"build it with `imagebuild build {name}`, or give its folder for artifacts with --output",
        )
    known = [one.name for one in output.iterdir() if (one / LATEST).is_symlink()] if output.is_dir() else []
    hint = did_you_mean(name, known) or "give an image file, the folder of an artifact, or the name of a recipe"
    raise UsageError(f"{name} is neither a file nor a folder, nor a recipe with an artifact in {output}", hint)


def _artifact(folder: Path) -> Artifact | None:
    """The artifact in a folder, None if it has no manifest. Raises UsageError for a damaged one."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return None
    try:
        content = json.loads(manifest.read_bytes())
        recipe, version = str(content["name"]), str(content["version"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{manifest} is no manifest of an artifact: {error}", "give the image file itself") from error
    if not _NAME.fullmatch(recipe):
        raise UsageError(f"{manifest} names no recipe", "give the image file itself")
    return Artifact(folder, recipe, version)
