"""The disk images of one guest: recognised, locked, and checked before anything is created."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from imagebuild.errors import HostError, UsageError
from imagebuild.files import allocated
from imagebuild.host import locks
from imagebuild.image import disk_image, qemu_img
from imagebuild.image.disk_image import Format

_MARGIN = 64 << 20
"""The number of bytes that operations may add to a copy."""
OVERLAY_ROOM = 512 << 20
"""The number of bytes that an overlay may need for everything the operations write, including
metadata."""


@dataclass(frozen=True)
class ImageToScrub:
    """A disk image to work on: its real path and its format."""

    path: Path
    format: Format


def recognised(paths: Sequence[Path], given: Format | None = None) -> tuple[ImageToScrub, ...]:
    """The disks of one guest: links are followed, headers are checked. Raises UsageError for an
    image that cannot be worked on."""
    images = []
    for path in paths:
        real = path.resolve()
        if not real.is_file():
            raise UsageError(f"{path} does not exist" if not real.exists() else f"{path} is not a file")
        images.append(ImageToScrub(real, disk_image.recognise(real, given)))
    if len({image.path for image in images}) < len(images):
        raise UsageError("the same image is given twice")
    if len({image.format for image in images}) > 1:
        raise UsageError("the disks of one guest must have the same format", "convert one of them with qemu-img")
    return tuple(images)


@contextmanager
def locked(images: Sequence[ImageToScrub]) -> Iterator[None]:
    """Lock every image against other runs, and refuse one that a virtual machine uses."""
    with ExitStack() as held:
        for image in images:
            file = held.enter_context(image.path.open("rb"))
            if not locks.free(file.fileno()):
                raise HostError(f"another imagebuild is working on {image.path}", "wait until it has finished")
            if not locks.is_still(file.fileno(), image.path):
                raise HostError(f"another imagebuild has just replaced {image.path}", "start again")
        check_unused(images)
        yield


def check_unused(images: Sequence[ImageToScrub], *, to_write: bool = False) -> None:
    """Raise HostError for an image that a virtual machine has open for writing; with ``to_write``,
    also for one that it reads."""
    for image in images:
        if qemu_img.is_in_use(image.path, to_write=to_write):
            raise HostError(f"{image.path} is in use, most likely by a virtual machine", "shut the machine down first")


def check_opens(images: Sequence[ImageToScrub]) -> None:
    """Raise CommandFailed for an image that QEMU cannot open."""
    for image in images:
        qemu_img.virtual_size(image.path, image.format)


def check_names(images: Sequence[ImageToScrub]) -> None:
    """Raise UsageError if a new file could not replace an image."""
    for image in images:
        if image.path.stat().st_nlink > 1:
            raise UsageError(
                f"{image.path} has several names (hard links), and only one of them would get the new image",
                "use --in-place to change it under all its names",
            )
        if image.path.parent.stat().st_dev != images[0].path.parent.stat().st_dev:
            raise UsageError(
                f"{image.path} is not on the same file system as {images[0].path}, where the new images are created",
                "use --in-place for images on several file systems",
            )


def check_output(images: Sequence[ImageToScrub], output: Path) -> None:
    """Raise UsageError if the result cannot be written to ``output``."""
    if len(images) > 1:
        raise UsageError("--output can only be used for a guest with one disk")
    if os.path.lexists(output):
        raise UsageError(f"{output} already exists")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"the folder of {output} does not exist")


def check_room(images: Sequence[ImageToScrub], folder: Path) -> None:
    """Raise HostError if the working copies may not fit into ``folder``."""
    _check_free(
        sum(_room(image) for image in images) + _MARGIN,
        folder,
        "free some space, or write to another file system with --output",
    )


def _room(image: ImageToScrub) -> int:
    """The number of bytes needed for a raw copy of an image, and for the qcow2 that is created from
    it."""
    if image.format == "raw":
        return allocated(image.path)
    cluster = int(qemu_img.info(image.path, image.format)["cluster-size"])
    return qemu_img.clusters(image.path).allocated * cluster + allocated(image.path)


def check_room_for_overlay(folder: Path) -> None:
    """Raise HostError if an overlay may not fit into ``folder``."""
    _check_free(OVERLAY_ROOM, folder, "free some space, or use another file system with --store")


def _check_free(need: int, folder: Path, hint: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < need:
        raise HostError(f"{folder} has {free >> 20} MiB free, but up to {need >> 20} MiB are needed", hint)
