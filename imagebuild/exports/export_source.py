"""What is exported: the disks of an artifact, or of an image file, and the machine that they are for.

Everything that lies beside an image is hostile: its values are checked, and no path in it is used.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imagebuild.errors import HostError, ImageBuildError, UsageError
from imagebuild.exports import guest_machine
from imagebuild.exports.guest_machine import GuestMachine
from imagebuild.files import sha256
from imagebuild.host import safe_xml
from imagebuild.image import disk_image, qemu_img
from imagebuild.image.disk_image import Format
from imagebuild.store import beside
from imagebuild.store.artifact import MANIFEST, Artifact, ImageRecord
from imagebuild.verify import clone_xml
from imagebuild.verify.subject import Subject

_LONGEST = 64 << 20
_DESCRIPTION = 500
"""Characters of a description that are passed on."""
_OTHER_THAN_NAME = re.compile(r"[^A-Za-z0-9._+-]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_YEARS = range(1980, 2100)
"""Years that every archive format can store."""
_UNKNOWN = 315_532_800
"""1980-01-01, in seconds since 1970: the time of an image that does not say when it was built."""


@dataclass(frozen=True)
class ExportDisk:
    """An image file; ``size`` is the disk's and ``file_size`` the file's, in bytes."""

    path: Path
    format: Format
    size: int
    file_size: int
    sha256: str


@dataclass(frozen=True)
class ExportSource:
    """A guest: its disks, the system disk's first.

    ``time`` (seconds since 1970) is that of the build, and becomes the time of all files in
    archives, so that the same source gives the same bytes. ``private`` is whether only its owner
    may read an image, as with secrets in it.
    """

    name: str
    version: str
    description: str
    disks: tuple[ExportDisk, ...]
    machine: GuestMachine
    time: int
    private: bool

    @property
    def stem(self) -> str:
        """The names of files for it, without a suffix: ``web-2026-11-29.1``."""
        return f"{self.name}-{self.version}" if self.version else self.name

    def each_disk(self) -> Iterator[ExportSource]:
        """For formats of a single disk: one source for each, with names like ``web-disk2``."""
        for number, disk in enumerate(self.disks, start=1):
            name = self.name if number == 1 else f"{self.name}-disk{number}"
            yield replace(self, name=name, disks=(disk,))


def of_artifact(artifact: Artifact) -> ExportSource:
    """The guest of an artifact, from its qcow2 images, or else its raw ones.

    All images are read. Raises UsageError if the artifact has none of these or is not complete,
    ImageBuildError if an image is not the one that was built, HostError if a machine writes to it.
    """
    where = artifact.folder / MANIFEST
    try:
        content = _content(where)
        images = artifact.manifest().images
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{where} is no manifest: {error}", "give an image file") from error
    chosen = [image for image in images if image.format == "qcow2"] or [one for one in images if one.format == "raw"]
    if not chosen:
        raise UsageError(
            f"{artifact.recipe} {artifact.version} has neither a qcow2 nor a raw image",
            "add qcow2 to output.format of the recipe, and build it again",
        )
    disks = tuple(_recorded(artifact.folder, image) for image in chosen)
    return ExportSource(
        name=checked_name(artifact.recipe, where),
        version=checked_name(artifact.version, where),
        description=_description(content.get("description")),
        disks=disks,
        machine=_machine(artifact.domain),
        time=_built(content.get("built")),
        private=any(_is_private(disk.path) for disk in disks),
    )


def of_subject(subject: Subject, name: str = "") -> ExportSource:
    """The guest of an image file without a manifest; ``name`` is the file's without its suffix,
    unless it is given. Raises CommandFailed for a damaged qcow2.
    """
    disks = []
    for one in subject.disks:
        found: Format = "raw" if one.format == "raw" else "qcow2"
        disks.append(_disk(one.path, found, subject.sha256))
        if found == "qcow2":
            qemu_img.check(one.path, found)  # QEMU reads what is missing at the end as zeros
    derived = _OTHER_THAN_NAME.sub("-", Path(subject.name).stem).strip("-.+_") or "image"
    return ExportSource(
        name=checked_name(name, "--name") if name else derived[:100],
        version="",
        description="",
        disks=tuple(disks),
        machine=guest_machine.of_definition(subject.machine, f"the machine of {subject.name}"),
        time=_UNKNOWN,
        private=any(_is_private(disk.path) for disk in disks),
    )


def _recorded(folder: Path, image: ImageRecord) -> ExportDisk:
    """An image of a manifest, which is hostile: only a regular file in the folder itself."""
    path = folder / image.file
    if "/" in image.file or path.is_symlink() or not path.is_file():
        raise UsageError(f"{folder} does not contain the image {image.file[:100]!r} that its {MANIFEST} names")
    disk = _disk(path, "qcow2" if image.format == "qcow2" else "raw", sha256(path))
    if disk.sha256 != image.sha256:
        raise ImageBuildError(
            f"{path} was changed after it was built: its SHA-256 is not the one in {MANIFEST}",
            "build it again; nothing was exported",
        )
    return disk


def _disk(path: Path, image_format: Format, digest: str) -> ExportDisk:
    disk_image.recognise(path, image_format)
    if qemu_img.is_in_use(path, to_write=False):
        raise HostError(f"{path} is in use, most likely by a virtual machine", "shut the machine down first")
    size = qemu_img.virtual_size(path, image_format)
    if not size:
        raise UsageError(f"{path} contains an empty disk")
    return ExportDisk(path, image_format, size, path.stat().st_size, digest)


def _machine(path: Path) -> GuestMachine:
    try:
        content = beside.content_of(path, clone_xml.LONGEST)
    except beside.ManifestError as error:
        raise UsageError(f"{path} is not usable as a domain definition: {error}") from error
    if content is None:
        raise UsageError(f"{path} is missing: it is the machine that the image is for", "give the image file itself")
    try:
        return guest_machine.of_definition(safe_xml.parsed(content.decode(), str(path)), str(path))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text") from error


def _content(path: Path) -> dict[str, Any]:
    content = beside.content_of(path, _LONGEST)
    if content is None:
        raise ValueError("it is missing")
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - it is about a file, not about a type
    return found


def checked_name(name: str, where: object) -> str:
    """``name`` if it can be part of a file name. Raises UsageError, which names ``where``."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{where}: {name[:100]!r} cannot be part of a file name",
            "use up to 100 letters, digits, '.', '_', '+' and '-'; the first is a letter or a digit",
        )
    return name


def _description(text: object) -> str:
    """A description without control characters, which XML cannot contain."""
    return "".join(char for char in text if char.isprintable())[:_DESCRIPTION] if isinstance(text, str) else ""


def _built(record: object) -> int:
    """When the build ended, in seconds since 1970."""
    try:
        ended = datetime.fromisoformat(str(record["ended"]) if isinstance(record, dict) else "").astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        return _UNKNOWN
    return int(ended.timestamp()) if ended.year in _YEARS else _UNKNOWN


def _is_private(path: Path) -> bool:
    return not path.stat().st_mode & stat.S_IROTH
