"""Where partitions go on the disk: pure arithmetic, in MiB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .plan import FileSystem

FIRST = 1
"""The first partition begins at 1 MiB; GRUB's core image lives in the gap before it."""
_MOST = 2 * 1024 * 1024
"""A DOS label addresses 2^32 sectors of 512 bytes: 2 TiB."""


def sizes(file_systems: Sequence[FileSystem], disk: int) -> list[int]:
    """The size of each partition on a disk of ``disk`` MiB; those that grow share what is left.

    They share in proportion to their --size, none beyond its --maxsize, as Anaconda does it.
    Raises InstallError when they do not fit.
    """
    room = min(disk, _MOST) - FIRST
    result = [fs.size for fs in file_systems]
    left = room - sum(result)
    if left < 0:
        raise InstallError(
            f"the partitions need {sum(result)} MiB, but the disk has {room} MiB for them (it is {disk} MiB)"
        )
    growing = {i for i, fs in enumerate(file_systems) if fs.grow and (not fs.maxsize or fs.maxsize > fs.size)}
    while left and growing:
        weight = sum(file_systems[i].size for i in growing)
        share = {i: left * file_systems[i].size // weight for i in growing}
        if not any(share.values()):
            share[min(growing)] = left
        for i in sorted(growing):
            limit = file_systems[i].maxsize
            more = min(share[i], limit - result[i]) if limit else share[i]
            result[i] += more
            left -= more
            if limit and result[i] >= limit:
                growing.discard(i)
    return result


def sfdisk_script(partitions: Sequence[int], active: int) -> str:
    """Input of sfdisk(8): a DOS label with partitions of these sizes, number ``active`` (from 0) bootable."""
    lines = ["label: dos", "unit: sectors", ""]
    start = FIRST
    for index, size in enumerate(partitions):
        boot = ", bootable" if index == active else ""
        lines.append(f"start={start * 2048}, size={size * 2048}, type=83{boot}")
        start += size
    return "\n".join(lines) + "\n"
