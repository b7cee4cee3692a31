"""What IMAGE on the command line names: an artifact, or an image file."""

from __future__ import annotations

import re
from pathlib import Path

from imagebuild.errors import UsageError
from imagebuild.recipe.folders import available, recipe_folders
from imagebuild.schema.findings import did_you_mean
from imagebuild.store import beside
from imagebuild.store.artifact import LATEST, MANIFEST, Artifact, ArtifactFolder

BUILD_FIRST = "`imagebuild build RECIPE` makes one"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def target(name: str, output: Path, *, finished: bool = False) -> Artifact | Path:
    """The artifact of a folder, of its image, or the latest of a recipe; else an image file.

    ``finished`` if only an artifact is of use, so that no hint names an image file. Raises UsageError if
    there is no such image.
    """
    path = Path(name)
    if path.is_dir():
        latest_in = (path / LATEST).is_dir() and not (path / MANIFEST).exists()
        return _in_folder(path / LATEST if latest_in else path, finished=finished)
    if path.exists():
        image = path.resolve()
        near, _ = beside.of(image) if image.is_file() else (None, "")
        if near is not None and near.image == near.manifest.images[0] and _NAME.fullmatch(near.manifest.recipe):
            return Artifact(image.parent, near.manifest.recipe, near.manifest.version)
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
    meant = did_you_mean(name, known) if _NAME.fullmatch(name) else None
    hint = meant or ("" if finished else "give an image file, the folder of an artifact, or the name of a recipe")
    hint = hint or f"give the name of a recipe, or the folder of an artifact; {BUILD_FIRST}"
    raise UsageError(f"{name} is neither a file nor a folder, nor a recipe with an artifact in {output}", hint)


def named(name: str, output: Path) -> str:
    """The folder of a recipe's latest artifact, even if its image was changed; other names as they are."""
    latest = output / name / LATEST
    return str(latest) if _NAME.fullmatch(name) and not Path(name).exists() and latest.is_dir() else name


def _in_folder(folder: Path, *, finished: bool) -> Artifact:
    """The artifact in a folder."""
    other = f"give the folder of a finished build; {BUILD_FIRST}"
    hint = other if finished else "give the image file itself"
    try:
        manifest = beside.manifest(folder.resolve())
    except beside.ManifestError as error:
        raise UsageError(f"{folder / MANIFEST} cannot be used: {error}", hint) from error
    if manifest is None:
        hint = other if finished else "give an image file"
        raise UsageError(f"{folder} has no {MANIFEST}, so it is not the folder of an artifact", hint)
    if not _NAME.fullmatch(manifest.recipe):
        raise UsageError(f"{folder / MANIFEST} cannot be used: it names no recipe", hint)
    image = folder.resolve() / manifest.images[0].file
    if image.is_symlink() or not image.is_file():
        raise UsageError(f"{folder} does not contain the image that its {MANIFEST} names")
    return Artifact(folder.resolve(), manifest.recipe, manifest.version)
