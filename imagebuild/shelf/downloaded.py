"""Files as they were downloaded from a shelf, as an artifact whose signatures can be checked.

On a shelf, files have names with version and digest; provenance names them as they were built.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imagebuild.errors import UsageError
from imagebuild.shelf import record as records
from imagebuild.store import beside
from imagebuild.store.artifact import CHECKSUMS, SIGNED, Artifact

_LARGEST = beside.LARGEST_MANIFEST
_DISK = "-disk"


def is_shelved(image: Path) -> bool:
    """Whether a file is an image with the name that it has on a shelf."""
    found = records.parsed(image.name)
    return found is not None and not found[1] and image.is_file()


@contextmanager
def artifact(image: Path) -> Iterator[Artifact]:
    """The artifact that an image from a shelf belongs to, without images, in a temporary folder: made of
    the small files of the same version beside it. Nothing is checked. Raises UsageError.
    """
    parsed = records.parsed(image.name)
    assert parsed is not None
    template, version = _template(image.parent, parsed[0].disk, parsed[0].version), parsed[0].version
    found = _beside(image.parent, template, version)
    if not found.keys() & (set(SIGNED) - {CHECKSUMS}):
        raise UsageError(
            f"beside {image} is no signature of {template} {version}",
            f"download all files {template}--{version}--* of the shelf, whose names its SHA256SUMS has",
        )
    with tempfile.TemporaryDirectory(prefix="imagebuild-shelved-") as scratch:
        for item, path in found.items():
            try:
                content = beside.content_of(path, _LARGEST)
            except ValueError as error:
                raise UsageError(f"{path} cannot be used: {error}", "download it again") from error
            (Path(scratch) / (f"{template}.xml" if item == "domain.xml" else item)).write_bytes(content or b"")
        yield Artifact(Path(scratch), template, version)


def _template(folder: Path, disk: str, version: str) -> str:
    """The template that a disk belongs to: the name of a second disk has a number at its end."""
    name, _, number = disk.rpartition(_DISK)
    return name if name and number.isdigit() and not _beside(folder, disk, version) else disk


def _beside(folder: Path, template: str, version: str) -> dict[str, Path]:
    """The small files of a version, by item."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        parsed = records.parsed(path.name)
        if parsed is None or not parsed[1] or (parsed[0].disk, parsed[0].version) != (template, version):
            continue
        if (other := found.setdefault(parsed[1], path)) != path:
            raise UsageError(
                f"{other.name} and {path.name} are two versions of the same file",
                "keep the one that SHA256SUMS of the shelf lists: an image that is signed again gets new files",
            )
    return found
