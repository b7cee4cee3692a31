"""Operations on images that exist: scrub them safely, or only look.

An image is worked on beside its place, in the folder ``.NAME.imagebuild``: on a copy that takes its name at the end, or on an
overlay that is written into it at the end. What is about to be moved or written is first put into a journal there; so a run that
dies is either one that never was, or one that the next run finishes.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imagebuild import customise as customisation
from imagebuild import disk_image, qemu_img
from imagebuild.accel import Accelerator
from imagebuild.customise import CustomiseResult, OperationCall
from imagebuild.disk_image import Format
from imagebuild.errors import CommandFailed, HostError, UsageError
from imagebuild.files import allocated, sync, write_atomically
from imagebuild.guest import Key
from imagebuild.progress import SILENT, Progress

Way = Literal["swap", "in-place", "dry-run"]
"""On a copy that is swapped in; on an overlay that is written in; on an overlay that is thrown away."""

_JOURNAL = "journal.json"
_MARGIN = 64 << 20
"""Bytes that operations may add to a copy."""
_OVERLAY_ROOM = 512 << 20
"""Bytes that an overlay may need: what the operations write, metadata included."""


@dataclass(frozen=True)
class Image:
    """A disk image to work on: its real place and its format."""

    path: Path
    format: Format


def recognised(paths: Sequence[Path], given: Format | None = None) -> tuple[Image, ...]:
    """The disks of one guest, links followed, headers checked. Raises UsageError for what cannot be worked on."""
    images = []
    for path in paths:
        real = path.resolve()
        if not real.is_file():
            raise UsageError(f"{path} is not there" if not real.exists() else f"{path} is not a file")
        images.append(Image(real, disk_image.recognise(real, given)))
    if len({image.path for image in images}) < len(images):
        raise UsageError("the same image is named twice")
    if len({image.format for image in images}) > 1:
        raise UsageError("the disks of one guest must have the same format", "convert one of them with qemu-img")
    return tuple(images)


def scrub(
    images: Sequence[Image],
    operations: Sequence[OperationCall],
    *,
    accel: Accelerator,
    way: Way = "swap",
    output: Path | None = None,
    network: bool = False,
    progress: Progress = SILENT,
    keys: Sequence[Key] = (),
) -> CustomiseResult:
    """Apply ``operations`` to the guest on ``images``; ``output`` takes the result of one image, which then stays.

    ``keys`` open what is encrypted.

    Whatever happens, each image is as before or whole and done. Raises UsageError, HostError or GuestError.
    """
    if way == "swap" and output is None:
        _check_links(images)
    _check_output(images, output)
    with _locked(images), _workshop(images, output) as work:
        _check_room(images, work, way)
        disks: list[Path] = []

        def customised() -> CustomiseResult:
            disks[:] = _copies(images, work, progress) if way == "swap" else _overlays(images, work)
            return customisation.run(
                disks[0],
                images[0].format if way == "swap" else "qcow2",
                operations,
                accel=accel,
                workdir=work,
                more=disks[1:],
                network=network,
                progress=progress,
                task="differences" if way == "dry-run" else "customise",
                keys=keys,
            )

        result = customisation.again_if_stuck(customised, progress.update)
        if way == "swap":
            _swap(work, disks, images, [output.absolute()] if output else [image.path for image in images])
        elif way == "in-place":
            _commit(work, disks, images)
        return result


def audit(
    images: Sequence[Image], *, accel: Accelerator, progress: Progress = SILENT, keys: Sequence[Key] = ()
) -> CustomiseResult:
    """What scrubbing the guest on ``images`` would find, and what is worth a look besides; nothing is changed."""
    with _locked(images), _workshop(images, None) as work:
        first, *more = _overlays(images, work)
        return customisation.run(
            first,
            "qcow2",
            (),
            accel=accel,
            workdir=work,
            more=more,
            network=False,
            progress=progress,
            task="audit",
            keys=keys,
        )


def _copies(images: Sequence[Image], work: Path, progress: Progress) -> list[Path]:
    progress.update("copying the image")
    copies = [work / f"{at}.{image.format}" for at, image in enumerate(images)]
    for image, copy in zip(images, copies, strict=True):
        copy.touch(mode=0o600)
        qemu_img.copy_file(image.path, copy)
    return copies


def _overlays(images: Sequence[Image], work: Path) -> list[Path]:
    overlays = [work / f"{at}.overlay" for at in range(len(images))]
    for image, overlay in zip(images, overlays, strict=True):
        qemu_img.create_overlay(image.path, image.format, overlay)
    return overlays


# -- before ------------------------------------------------------------------------------------------


def _check_links(images: Sequence[Image]) -> None:
    for image in images:
        if image.path.stat().st_nlink > 1:
            raise UsageError(
                f"{image.path} has several names (hard links), and only one of them would get the new image",
                "--in-place changes it for all of them",
            )


def _check_output(images: Sequence[Image], output: Path | None) -> None:
    if output is None:
        return
    if len(images) > 1:
        raise UsageError("--output is for a guest with one disk")
    if output.exists():
        raise UsageError(f"{output} is there already")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"the folder of {output} is not there")


def _check_room(images: Sequence[Image], work: Path, way: Way) -> None:
    need = sum(allocated(image.path) for image in images) + _MARGIN if way == "swap" else _OVERLAY_ROOM
    free = shutil.disk_usage(work).free
    if free < need:
        way_out = "--in-place needs less, --output writes to another file system" if way == "swap" else None
        raise HostError(
            f"{work.parent} has {free >> 20} MiB free, and up to {need >> 20} MiB are needed to work on", way_out
        )


@contextmanager
def _locked(images: Sequence[Image]) -> Iterator[None]:
    """Hold every image against other runs, and refuse one that a virtual machine uses."""
    with ExitStack() as held:
        for image in images:
            file = held.enter_context(image.path.open("rb"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise HostError(f"another imagebuild works on {image.path}", "wait until it has ended") from error
            if not os.path.samestat(os.fstat(file.fileno()), image.path.stat()):
                raise HostError(f"another imagebuild has just replaced {image.path}", "start again")
        _finish_interrupted(images)
        for image in images:
            try:
                qemu_img.virtual_size(image.path, image.format)
            except CommandFailed as error:
                if "lock" in error.output:
                    raise HostError(
                        f"{image.path} is in use, most likely by a virtual machine", "shut the machine down first"
                    ) from error
                raise
        yield


@contextmanager
def _workshop(images: Sequence[Image], output: Path | None) -> Iterator[Path]:
    """The folder for this run, beside what is going to be written; it is gone afterwards."""
    work = _workshop_of(output.absolute() if output is not None else images[0].path)
    shutil.rmtree(work, ignore_errors=True)  # of a run that died before it wrote a journal: the lock is ours
    work.mkdir(mode=0o700)
    try:
        yield work
    finally:
        if not (work / _JOURNAL).exists():
            shutil.rmtree(work, ignore_errors=True)


def _workshop_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.imagebuild")


# -- the end: a journal, then steps that can be repeated --------------------------------------------------


def _swap(work: Path, copies: Sequence[Path], images: Sequence[Image], targets: Sequence[Path]) -> None:
    for copy, image in zip(copies, images, strict=True):
        _take_after(copy, image.path)
        sync(copy)
    pairs = [[str(copy), str(target)] for copy, target in zip(copies, targets, strict=True)]
    _finish(work, {"task": "swap", "pairs": pairs})


def _commit(work: Path, overlays: Sequence[Path], images: Sequence[Image]) -> None:
    for overlay in overlays:
        sync(overlay)
    pairs = [[str(overlay), str(image.path)] for overlay, image in zip(overlays, images, strict=True)]
    _finish(work, {"task": "commit", "pairs": pairs})


def _finish(work: Path, journal: dict[str, object]) -> None:
    write_atomically(work / _JOURNAL, json.dumps(journal), 0o600)
    _carry_out(work)


def _finish_interrupted(images: Sequence[Image]) -> None:
    """Do what a run had written down before it died."""
    work = _workshop_of(images[0].path)
    if (work / _JOURNAL).exists():
        _carry_out(work)


def _carry_out(work: Path) -> None:
    journal = json.loads((work / _JOURNAL).read_text())
    for source, target in ((Path(source), Path(target)) for source, target in journal["pairs"]):
        if journal["task"] == "swap" and source.exists():
            source.replace(target)
            sync(target.parent)
        elif journal["task"] == "commit":
            qemu_img.commit(source)
            sync(target)
    (work / _JOURNAL).unlink()
    shutil.rmtree(work, ignore_errors=True)
    sync(work.parent)


def _take_after(copy: Path, image: Path) -> None:
    """Owner, mode and extended attributes of the image that the copy is going to replace; its times do not matter."""
    was = image.stat()
    if (was.st_uid, was.st_gid) != (copy.stat().st_uid, copy.stat().st_gid):
        os.chown(copy, was.st_uid, was.st_gid)
    for name in os.listxattr(image):
        if name not in os.listxattr(copy):
            os.setxattr(copy, name, os.getxattr(image, name))
    copy.chmod(was.st_mode & 0o7777)
