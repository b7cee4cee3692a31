"""Operations on existing images: scrub them safely, or only inspect them.

A complete new file is created next to the image, from a copy of it. Then it either takes the name
of the image, or its content replaces the content of the image. See ``transaction`` for what happens
if a run dies.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from imagebuild import customise as customisation
from imagebuild.customise import OperationCall
from imagebuild.customise.order import Task
from imagebuild.guest import Key
from imagebuild.host.accelerator import Accelerator
from imagebuild.image import qemu_img
from imagebuild.progress import SILENT, Progress
from imagebuild.schema.customised import CustomiseResult
from imagebuild.scrub import images as checks
from imagebuild.scrub import transaction, working_copy, workshop
from imagebuild.scrub.images import ImageToScrub

Way = Literal["swap", "in-place", "dry-run"]
"""The new file takes the image's name; its content is written into the image file; or everything is
thrown away."""


def scrub(
    images: Sequence[ImageToScrub],
    operations: Sequence[OperationCall],
    *,
    accel: Accelerator,
    way: Way = "swap",
    output: Path | None = None,
    scratch: Path | None = None,
    network: bool = False,
    progress: Progress = SILENT,
    keys: Sequence[Key] = (),
) -> CustomiseResult:
    """Apply ``operations`` to the guest on ``images``. With ``output``, the result of the only
    image is written there, and the image stays.

    ``keys`` unlock encrypted volumes. A dry run works in ``scratch``, or in the system's temporary
    folder.

    Whatever happens, each image is either unchanged or completely replaced. Raises UsageError,
    HostError or GuestError.
    """
    if way == "dry-run":
        return _looked(images, operations, "differences", accel, scratch, network=network, progress=progress, keys=keys)
    if output is not None:
        checks.check_output(images, output)
        output = output.absolute()
    elif way == "swap":
        checks.check_names(images)
    with (
        untouched(images) if output else _finished(images, to_write=way == "in-place"),
        workshop.new(output or images[0].path) as work,
    ):
        checks.check_room(images, work.path)
        styles = [working_copy.style(image) for image in images]
        copies: list[Path] = []

        def customised() -> CustomiseResult:
            copies[:] = working_copy.copies(images, work.path, progress)
            return customisation.run(
                copies[0], "raw", operations, accel=accel, workdir=work.path, more=copies[1:], network=network,
                progress=progress, keys=keys,
            )  # fmt: skip

        result = customisation.again_if_stuck(customised, progress.update)
        for number, (copy, as_it_was) in enumerate(zip(copies, styles, strict=True)):
            working_copy.finished(copy, as_it_was, work.done(number), progress)
        if output is not None:
            transaction.place(work, images[0], output, private=result.password_hashes is not False)
            return result
        checks.check_unused(images, to_write=way == "in-place")
        if way == "in-place":
            progress.update("writing the new content into the image")
        transaction.finish(work, "overwrite" if way == "in-place" else "swap", images)
    return result


def audit(
    images: Sequence[ImageToScrub],
    *,
    accel: Accelerator,
    scratch: Path | None = None,
    progress: Progress = SILENT,
    keys: Sequence[Key] = (),
) -> CustomiseResult:
    """What scrubbing the guest on ``images`` would find, and other findings worth checking; nothing
    is changed.

    ``scratch`` is the same as for a dry run.
    """
    return _looked(images, (), "audit", accel, scratch, network=False, progress=progress, keys=keys)


def _looked(
    images: Sequence[ImageToScrub],
    operations: Sequence[OperationCall],
    task: Task,
    accel: Accelerator,
    scratch: Path | None,
    *,
    network: bool,
    progress: Progress,
    keys: Sequence[Key],
) -> CustomiseResult:
    """Work on overlays that are thrown away; the images may be in a read-only folder."""
    with untouched(images), tempfile.TemporaryDirectory(prefix="imagebuild-", dir=scratch) as folder:
        checks.check_room_for_overlay(Path(folder))

        def customised() -> CustomiseResult:
            first, *more = overlays(images, Path(folder))
            return customisation.run(
                first,
                "qcow2",
                operations,
                accel=accel,
                workdir=Path(folder),
                more=more,
                network=network,
                progress=progress,
                task=task,
                keys=keys,
            )

        return customisation.again_if_stuck(customised, progress.update)


@contextmanager
def _finished(images: Sequence[ImageToScrub], *, to_write: bool = False) -> Iterator[None]:
    """Hold the locks on the images, after completing the work of a run that died."""
    with checks.locked(images):
        checks.check_unused(images, to_write=to_write)
        replaced = transaction.finish_interrupted(images)
        if not replaced:
            checks.check_opens(images)
            yield
            return
    with checks.locked(images):  # these are different files now
        checks.check_opens(images)
        yield


@contextmanager
def untouched(images: Sequence[ImageToScrub]) -> Iterator[None]:
    """Hold the locks on the images, none of which an interrupted run has left half-changed."""
    with checks.locked(images):
        transaction.refuse_unfinished(images)
        checks.check_opens(images)
        yield


def overlays(images: Sequence[ImageToScrub], folder: Path) -> list[Path]:
    """New overlays of the images, in a folder."""
    made = [folder / f"{number}.overlay" for number in range(len(images))]
    for image, overlay in zip(images, made, strict=True):
        qemu_img.create_overlay(image.path, image.format, overlay)
    return made
