"""The inventories of guests on existing images, read from their disks."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from imagebuild import customise as customisation
from imagebuild.contents.encoding import unpacked
from imagebuild.contents.inventory import Inventory
from imagebuild.guest import Key
from imagebuild.host.accelerator import Accelerator
from imagebuild.progress import SILENT, Progress
from imagebuild.schema.customised import CustomiseResult
from imagebuild.scrub import images as checks
from imagebuild.scrub.images import ImageToScrub
from imagebuild.scrub.scrubbing import overlays, untouched


def inventories(
    guests: Sequence[Sequence[ImageToScrub]],
    *,
    accel: Accelerator,
    scratch: Path | None = None,
    progress: Progress = SILENT,
    keys: Sequence[Key] = (),
    all_digests: bool = False,
) -> list[Inventory]:
    """The inventory of each guest, given as the images of its disks; an image must not be given
    twice. Nothing is changed. With ``all_digests`` every file is read, also those with secrets.

    It takes one launch of libguestfs's appliance for all guests. Work files are in ``scratch``, or
    in the system's temporary folder. Raises UsageError, HostError or GuestError.
    """
    with ExitStack() as held:
        for images in guests:
            held.enter_context(untouched(images))
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="imagebuild-", dir=scratch)))
        checks.check_room_for_overlay(folder)
        made = [folder / f"inventory-{number}" for number in range(len(guests))]

        def listed() -> CustomiseResult:
            (first, *more), *others = (_overlays(images, folder / str(at)) for at, images in enumerate(guests))
            return customisation.run(
                first,
                "qcow2",
                (),
                accel=accel,
                workdir=folder,
                more=more,
                network=False,
                progress=progress,
                task="digest" if all_digests else "inspect",
                keys=keys,
                inventories=made,
                other_guests=others,
            )

        customisation.again_if_stuck(listed, progress.update)
        return [unpacked(path.read_bytes()) for path in made]


def _overlays(images: Sequence[ImageToScrub], folder: Path) -> list[Path]:
    folder.mkdir(exist_ok=True)
    return overlays(images, folder)
