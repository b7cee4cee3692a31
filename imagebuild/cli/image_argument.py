"""IMAGE of ``inspect`` and ``diff``: which image it names, and what is known about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imagebuild.cli.image_names import ImageName as ImageName
from imagebuild.cli.options import opened
from imagebuild.cli.output import echo
from imagebuild.cli.target import target
from imagebuild.contents.described import DescribedImage
from imagebuild.printable import counted
from imagebuild.store import beside
from imagebuild.store.artifact import Artifact
from imagebuild.store.beside import Beside

if TYPE_CHECKING:
    from imagebuild.contents.inventory import Inventory
    from imagebuild.guest import Key

F = TypeVar("F", bound=Callable[..., Any])


def image_with_disks(function: F) -> F:
    """The arguments IMAGE and DISK: an image, and further disks of its guest."""
    disk = click.Path(path_type=Path, exists=True, dir_okay=False)
    further = click.argument("further", nargs=-1, type=disk, metavar="[DISK...]")
    return click.argument("image", type=ImageName())(further(function))


from_disk_option = click.option(
    "--from-disk", is_flag=True, help="Read the disk even if there is an inventory beside the image."
)


@dataclass(frozen=True)
class NamedImage:
    """The images of a guest's disks, the system disk's first, and what belongs to that."""

    name: str
    images: tuple[Path, ...]
    beside: Beside | None


def found(name: str, output: Path, further: Sequence[Path] = (), *, from_disk: bool = False) -> NamedImage:
    """What ``name`` stands for: a file, a folder, or the latest artifact of a recipe in ``output``.

    With ``from_disk``, files beside the image only say which further disks the guest has. Raises
    UsageError if there is no such image.
    """
    image = _image(name, output)
    near, why = beside.of(image)
    if near is not None and near.inventory is None and not from_disk:
        why = near.why
    if why and not from_disk:
        echo(f"note: {why}", err=True)
    if near is not None and from_disk:
        near = replace(near, inventory=None)
    more = tuple(further)
    if near is not None and not more and near.image == near.manifest.images[0]:
        more = tuple(image.with_name(one.file) for one in near.manifest.extra)
    return NamedImage(name, (image, *more), near)


def _image(name: str, output: Path) -> Path:
    named = target(name, output)
    return named.image.absolute() if isinstance(named, Artifact) else named


def described(
    named: Sequence[NamedImage],
    *,
    store: Path | None,
    keys: Sequence[Key] = (),
    what: str,
    quiet: bool,
    all_digests: bool = False,
) -> list[DescribedImage]:
    """Everything that is known about the images. Disks are read, all in one launch, only if there
    is no inventory; with ``all_digests`` the contents of all files, too."""
    to_read = {one.images: one for one in named if one.beside is None or one.beside.inventory is None}
    read: dict[tuple[Path, ...], tuple[str, Inventory]] = {}
    if to_read:
        read = _read(list(to_read), store, keys, what, quiet=quiet, all_digests=all_digests)
    return [_described(one, *read.get(one.images, ("", None))) for one in named]


def _read(
    guests: list[tuple[Path, ...]],
    store: Path | None,
    keys: Sequence[Key],
    what: str,
    *,
    quiet: bool,
    all_digests: bool,
) -> dict[tuple[Path, ...], tuple[str, Inventory]]:
    # What works on disks is imported only if a disk must be read.
    from imagebuild import scrub as scrubbing
    from imagebuild.cli.report import reporter
    from imagebuild.host import accelerator
    from imagebuild.store.runs import new_run

    kept = opened(store)
    disks = [scrubbing.recognised(images) for images in guests]
    with (
        kept.runs.workdir(new_run("look"), shared=False) as scratch,
        reporter(as_json=False, quiet=quiet, live_only=True).step(guests[0][0].name, what) as progress,
    ):
        accel = accelerator.verdict(kept.probe_cache).accelerator
        found = scrubbing.inventories(
            disks, accel=accel, scratch=scratch, progress=progress, keys=keys, all_digests=all_digests
        )
        progress.summary(", ".join(counted(len(one.files), "file") for one in found))
    formats = [one[0].format for one in disks]
    return {images: (fmt, one) for images, fmt, one in zip(guests, formats, found, strict=True)}


def _described(named: NamedImage, fmt: str, read: Inventory | None) -> DescribedImage:
    near = named.beside
    inventory = read if near is None or near.inventory is None else near.inventory
    assert inventory is not None
    if near is not None:
        found = beside.described(named.images[0], near, inventory)
        return found if read is None else replace(found, source="disk")
    return DescribedImage(
        image=str(named.images[0]),
        format=fmt,
        file_size=named.images[0].stat().st_size,
        virtual_size=inventory.disks[0].size if inventory.disks else 0,
        source="disk",
        inventory=inventory,
    )
