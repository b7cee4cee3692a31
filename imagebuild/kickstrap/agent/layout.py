"""Where partitions go on the disks, and how large what stands on them gets: pure arithmetic, in MiB."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .errors import StorageError
from .machine import UNLIMITED, disk_name, disk_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .disks import LogicalVolume, Partition, Storage
    from .machine import TargetMachine

FIRST = 1
"""The first partition begins at 1 MiB; on a DOS label GRUB's core image lives in the gap before it."""
_GPT_END = 1
"""What the second copy of a GPT needs at the end of the disk, in whole MiB."""
_MOST = 2 * 1024 * 1024
"""A DOS label addresses 2^32 sectors of 512 bytes: 2 TiB."""
MOST_PARTITIONS = {"msdos": 4, "gpt": 128}
"""A DOS label holds more with an extended partition only."""
_TYPES = {
    # sfdisk's: the code of a DOS label, and GPT's GUID by its shortcut (sfdisk(8))
    "msdos": {"linux": "83", "swap": "82", "lvm": "8e", "raid": "fd", "esp": "ef"},
    "gpt": {
        "linux": "L",
        "swap": "S",
        "lvm": "V",
        "raid": "R",
        "esp": "U",
        "biosboot": "21686148-6449-6E6F-744E-656564454649",
    },
}


class Placed(NamedTuple):
    """A partition on its disk (from 0), as number (from 1) there."""

    partition: Partition
    disk: int
    number: int
    start: int
    size: int


def usable(storage: Storage, machine: TargetMachine) -> list[int]:
    """The disks (from 0) that partitions may go to, by ignoredisk and clearpart."""
    every = range(len(machine.disks))
    only = [_known(name, machine, storage.line, "ignoredisk") for name in storage.only] or every
    ignored = [_known(name, machine, storage.line, "ignoredisk") for name in storage.ignored]
    cleared = [_known(name, machine, storage.line, "clearpart") for name in storage.cleared] or every
    left = [number for number in every if number in only and number not in ignored and number in cleared]
    if not left:
        raise StorageError(storage.line, "ignoredisk and clearpart leave no disk to install on")
    return left


def _known(name: str, machine: TargetMachine, line: int, command: str) -> int:
    number = disk_number(name)
    if number is None or number >= len(machine.disks):
        there = ", ".join(disk_name(number) for number in range(len(machine.disks)))
        raise StorageError(line, f"{command}: there is no disk {name}; the machine has {there}")
    return number


def place(storage: Storage, machine: TargetMachine) -> list[Placed]:
    """Every partition on its disk, in the kickstart's order.

    One without --ondisk goes to the first disk where it fits. Those that grow share what is left on
    their disk. Raises StorageError when something does not fit.
    """
    label, disks = storage.label or "msdos", usable(storage, machine)
    on: dict[int, list[Partition]] = {number: [] for number in disks}
    for part in sorted(storage.partitions, key=lambda part: not part.disk):
        on[_disk_for(part, storage, machine, on)].append(part)
    order = {part.name: index for index, part in enumerate(storage.partitions)}
    placed = []
    for number, parts in on.items():
        parts.sort(key=lambda part: order[part.name])
        start = FIRST
        for index, (part, size) in enumerate(zip(parts, sizes(parts, machine.disks[number], label), strict=True), 1):
            placed.append(Placed(part, number, index, start, size))
            start += size
    return placed


def _disk_for(part: Partition, storage: Storage, machine: TargetMachine, on: dict[int, list[Partition]]) -> int:
    label = storage.label or "msdos"
    if part.disk:
        number = _known(part.disk, machine, part.line, f"part {part.name}")
        if number not in on:
            raise StorageError(
                part.line, f"part {part.name}: ignoredisk or clearpart leaves {part.disk} alone", "name it there too"
            )
        candidates = [number]
    else:
        candidates = list(on)
    for number in candidates:
        needed = part.size + sum(other.size for other in on[number])
        if len(on[number]) < MOST_PARTITIONS[label] and needed <= room(machine.disks[number], label):
            return number
    if all(len(on[number]) >= MOST_PARTITIONS[label] for number in candidates):
        raise StorageError(
            part.line,
            f"part: there are more than {MOST_PARTITIONS[label]} partitions",
            "with clearpart --disklabel=gpt a disk holds more",
        )
    number = candidates[0]
    needed, size = part.size + sum(other.size for other in on[number]), machine.disks[number]
    where = part.disk or disk_name(number)
    raise StorageError(
        part.line,
        f"part {part.name}: the partitions need {needed} MiB, but the disk {where} has {room(size, label)} MiB for"
        f" them (it is {size} MiB)",
        "make the disk larger, or the partitions smaller",
    )


def room(disk: int, label: str) -> int:
    """MiB for partitions on a disk of ``disk`` MiB."""
    return disk - FIRST - _GPT_END if label == "gpt" else min(disk, _MOST if disk < UNLIMITED else disk) - FIRST


def sizes(partitions: Sequence[Partition], disk: int, label: str = "msdos") -> list[int]:
    """The size of each partition on a disk of ``disk`` MiB that holds them; those that grow share what is left.

    They share in proportion to their --size, none beyond its --maxsize, as Anaconda does it.
    """
    return grown([(part.size, part.grow, part.maxsize) for part in partitions], room(disk, label))


def grown(wanted: Sequence[tuple[int, bool, int]], most: int) -> list[int]:
    """(size, whether it grows, its limit or 0) of each, in any unit -> sizes that take ``most`` if they may."""
    result = [size for size, _, _ in wanted]
    left = most - sum(result)
    growing = {i for i, (size, grow, limit) in enumerate(wanted) if grow and (not limit or limit > size)}
    while left > 0 and growing:
        weight = sum(max(1, wanted[i][0]) for i in growing)
        share = {i: left * max(1, wanted[i][0]) // weight for i in growing}
        if not any(share.values()):
            share[min(growing)] = left
        for i in sorted(growing):
            limit = wanted[i][2]
            more = min(share[i], limit - result[i]) if limit else share[i]
            result[i] += more
            left -= more
            if limit and result[i] >= limit:
                growing.discard(i)
    return result


def sfdisk_script(placed: Sequence[Placed], label: str, active: str) -> str:
    """Input of sfdisk(8) for one disk; the partition called ``active`` is marked bootable on a DOS label."""
    lines = [f"label: {'gpt' if label == 'gpt' else 'dos'}", "unit: sectors", ""]
    for one in placed:
        boot = ", bootable" if label == "msdos" and one.partition.name == active else ""
        kind = _TYPES[label][one.partition.kind]
        lines.append(f"start={one.start * 2048}, size={one.size * 2048}, type={kind}{boot}")
    return "\n".join(lines) + "\n"


# What stands on partitions.

RAID_OFFSET = 1
"""MiB before the data of an array: its metadata. Told to mdadm, whose own choice depends on the disk."""
_PV_HEADER = 1
"""MiB before the first extent of a physical volume (LVM's default)."""


def array_size(level: int, members: Sequence[int]) -> int:
    """MiB of an array of members of these sizes."""
    held = [size - RAID_OFFSET for size in members]
    return min(held) if level == 1 else sum(held)


def group_extents(extent: int, members: Iterable[int]) -> int:
    """How many extents of ``extent`` KiB physical volumes of these sizes hold."""
    return sum((size - _PV_HEADER) * 1024 // extent for size in members)


def volume_extents(volumes: Sequence[LogicalVolume], extent: int, total: int) -> list[int]:
    """How many extents each logical volume gets in a group of ``total``. Raises StorageError when they do not fit."""
    wanted = []
    for volume in volumes:
        size = total * volume.percent // 100 if volume.percent else -(-volume.size * 1024 // extent)
        wanted.append((max(1, size), volume.grow, volume.maxsize * 1024 // extent))
        if (needed := sum(one[0] for one in wanted)) > total:
            raise StorageError(
                volume.line,
                f"logvol {volume.name}: the volumes need {needed * extent // 1024} MiB, but the group"
                f" {volume.group} has {total * extent // 1024} MiB",
                "make the physical volumes larger, or the logical ones smaller",
            )
    return grown(wanted, total)


def check_fits(storage: Storage, placed: Sequence[Placed]) -> None:
    """Raise StorageError when arrays and logical volumes do not fit what they stand on."""
    known = {one.partition.name: one.size for one in placed}
    for array in storage.arrays:
        known[array.name] = array_size(array.level, [known[name] for name in array.members])
    for group in storage.groups:
        total = group_extents(group.extent, [known[name] for name in group.members])
        volume_extents([one for one in storage.volumes if one.group == group.name], group.extent, total)
