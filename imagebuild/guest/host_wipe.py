"""Wipes the unused space of an image on this host, after the appliance with its guest has ended.

Under emulation that takes a fraction of the time of the appliance's programs (``unused``). Only for a
disk whose only file system is an ext4 on a partition: see ``imagebuild.guest.ext4``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imagebuild.errors import ImageBuildError
from imagebuild.guest.ext4 import superblock, unused
from imagebuild.guest.ext4.superblock import UnsupportedExt4Error
from imagebuild.guest.shell import Shell
from imagebuild.guest.unused import partitions
from imagebuild.image import layers, nbd_disk
from imagebuild.image.layers import Layers
from imagebuild.log import logger

_SECTOR = 512
"""The unit of /sys/class/block/*/start, whatever the sectors of the disk."""
Range = tuple[int, int]


@dataclass(frozen=True)
class HostWipe:
    """What is to be wiped: the file system that starts at ``start``, in bytes, and the ``gaps`` between the
    partitions."""

    disk: Layers
    start: int
    gaps: tuple[Range, ...]

    def carry_out(self) -> None:
        """Wipe it. UnsupportedExt4Error, before anything has changed, if it cannot be done here."""
        with layers.opened(self.disk) as reader:

            def read(at: int, length: int) -> bytes:
                return reader.read(self.start + at, length)

            ranges = [*self.gaps, *((self.start + at, length) for at, length in unused.unused(read))]
            pieces = [(self.start + at, content) for at, content in unused.emptied_tables(read)]
            stored = reader.stored()
        with nbd_disk.writable(self.disk.top, self.disk.format) as image:
            for at, length in _both(ranges, stored):
                image.zero(at, length)
            for at, content in pieces:
                image.write(at, content)


def prepared(shell: Shell, device: str, disk: Layers) -> HostWipe | None:
    """How to wipe the disk with the partition ``device``, by libguestfs's name; None if the appliance must do it."""
    kernel_name = shell.device(device)
    whole = kernel_name.rstrip("0123456789")
    try:
        start = int(shell.line(f"cat /sys/class/block/{kernel_name.rpartition('/')[2]}/start")) * _SECTOR
        gaps = partitions.found_gaps(shell, whole)
        with layers.opened(Layers(disk.files[:1])) as base:
            superblock.superblock(lambda at, length: base.read(start + at, length), in_use=True)
        nbd_disk.check_installed()
    except (ImageBuildError, UnsupportedExt4Error) as error:
        logger.debug("the appliance wipes the guest's file system: %s", error)
        return None
    return HostWipe(disk, start, tuple(gaps))


def _both(ranges: Sequence[Range], stored: Sequence[Range]) -> Iterator[Range]:
    """The parts of ``ranges`` that are also in ``stored``, which is in order."""
    starts = [at for at, _ in stored]
    for at, length in ranges:
        for begin, count in stored[max(0, bisect_right(starts, at) - 1) :]:
            if begin >= at + length:
                break
            first, last = max(at, begin), min(at + length, begin + count)
            if first < last:
                yield first, last - first
