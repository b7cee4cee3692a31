"""The places of partitions on the disks, and the sizes of what they contain. Pure, in MiB."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .errors import StorageError
from .machine import UNLIMITED, disk_name, disk_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .disks import LogicalVolume, Partition, Storage
    from .machine import TargetMachine

FIRST = 1
"""The first partition starts at 1 MiB; on a DOS label GRUB's core image is in the gap before it."""
_GPT_END = 1
"""MiB for the second copy of a GPT at the end of the disk."""
_MOST = 2 * 1024 * 1024
"""A DOS label can address 2^32 sectors of 512 bytes: 2 TiB."""
MOST_PARTITIONS = {"msdos": 4, "gpt": 128}
"""A DOS label can have more only with an extended partition."""
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
    """A partition, its disk (from 0), and its number (from 1) on that disk."""

    partition: Partition
    disk: int
    number: int
    start: int
    size: int


def usable(storage: Storage, machine: TargetMachine) -> list[int]:
    """The disks (from 0) that partitions may be placed on, by ignoredisk and clearpart."""
    every = range(len(machine.disks))
    only = [_known(name, machine, storage.line, "ignoredisk") for name in storage.only] or every
    ignored = [_known(name, machine, storage.line, "ignoredisk") for name in storage.ignored]
    cleared = [_known(name, machine, storage.line, "clearpart") for name in storage.cleared] or every
    left = [number for number in every if number in only and number not in ignored and number in cleared]
    if not left:
        raise StorageError(storage.line, "ignoredisk and clearpart leave no disk to install to")
    return left


def _known(name: str, machine: TargetMachine, line: int, command: str) -> int:
    number = disk_number(name)
    if number is None or number >= len(machine.disks):
        there = ", ".join(disk_name(number) for number in range(len(machine.disks)))
        raise StorageError(line, f"{command}: there is no disk {name}; the machine has {there}")
    return number


def place(storage: Storage, machine: TargetMachine) -> list[Placed]:
    """Place every partition on a disk, in the kickstart's order.

    One without --ondisk is placed on the first disk where it fits. Partitions that grow share the
    free space on their disk. Raises StorageError if something does not fit.
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
                part.line, f"part {part.name}: ignoredisk or clearpart excludes {part.disk}", "add the disk there too"
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
            "clearpart --disklabel=gpt allows more",
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
    """MiB available for partitions on a disk of ``disk`` MiB."""
    return disk - FIRST - _GPT_END if label == "gpt" else min(disk, _MOST if disk < UNLIMITED else disk) - FIRST


def sizes(partitions: Sequence[Partition], disk: int, label: str = "msdos") -> list[int]:
    """The size of each partition on a disk of ``disk`` MiB; those that grow share the free space.

    They share it in proportion to their --size, up to their --maxsize, as with Anaconda.
    """
    return grown([(part.size, part.grow, part.maxsize) for part in partitions], room(disk, label))


def grown(wanted: Sequence[tuple[int, bool, int]], most: int) -> list[int]:
    """Grow items to a total of ``most`` if possible: (size, whether it grows, its limit or 0) of
    each, in any unit.
    """
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


def sfdisk_script(placed: Sequence[Placed], label: str, active: str, uuids: Sequence[str]) -> str:
    """Input for sfdisk(8) for one disk; on a DOS label the partition called ``active`` is marked
    bootable.

    ``uuids`` identify the label, and then each partition. A DOS label has a signature of eight
    digits, which identifies its partitions too.
    """
    signature = uuids[0] if label == "gpt" else f"0x{uuids[0][:8]}"
    lines = [f"label: {'gpt' if label == 'gpt' else 'dos'}", f"label-id: {signature}", "unit: sectors", ""]
    for one, uuid in zip(placed, uuids[1:], strict=True):
        boot = ", bootable" if label == "msdos" and one.partition.name == active else ""
        kind = _TYPES[label][one.partition.kind]
        named = f", uuid={uuid}" if label == "gpt" else ""
        lines.append(f"start={one.start * 2048}, size={one.size * 2048}, type={kind}{boot}{named}")
    return "\n".join(lines) + "\n"


# The content of partitions.

RAID_OFFSET = 1
"""MiB before the data of an array, for its metadata. Passed to mdadm, whose own choice depends on
the disk.
"""
_PV_HEADER = 1
"""MiB before the first extent of a physical volume (LVM's default)."""


def array_size(level: int, members: Sequence[int]) -> int:
    """The size in MiB of an array with members of these sizes."""
    held = [size - RAID_OFFSET for size in members]
    return min(held) if level == 1 else sum(held)


def group_extents(extent: int, members: Iterable[int]) -> int:
    """The number of extents of ``extent`` KiB in physical volumes of these sizes."""
    return sum((size - _PV_HEADER) * 1024 // extent for size in members)


def volume_extents(volumes: Sequence[LogicalVolume], extent: int, total: int) -> list[int]:
    """The number of extents of each logical volume in a group of ``total``. Raises StorageError if
    they do not fit.
    """
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
    """Raise StorageError if arrays and logical volumes do not fit on their members."""
    known = {one.partition.name: one.size for one in placed}
    for array in storage.arrays:
        known[array.name] = array_size(array.level, [known[name] for name in array.members])
    for group in storage.groups:
        total = group_extents(group.extent, [known[name] for name in group.members])
        volume_extents([one for one in storage.volumes if one.group == group.name], group.extent, total)
