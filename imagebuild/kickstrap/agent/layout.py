"""The places of partitions on the disks. Pure, in MiB."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import placement
from .errors import StorageError, TooManyPartitions
from .machine import UNLIMITED, disk_name, disk_number, partition_place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .disks import Partition, Storage
    from .machine import TargetMachine

FIRST = 1
"""The first partition starts at 1 MiB; on a DOS label GRUB's core image is in the gap before it."""
_GPT_END = 1
"""MiB for the second copy of a GPT at the end of the disk."""
SECTORS = 2048
"""Sectors of 512 bytes in a MiB."""
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
    """Place every partition on a disk, and in the order, that Anaconda would choose.

    Partitions that grow share the free space on their disk. A disk on which %pre has created partitions gets
    no others. Raises StorageError if something does not fit.
    """
    label, disks = storage.label or "msdos", usable(storage, machine)
    on: dict[int, list[Partition]] = {number: [] for number in disks}
    for part in storage.partitions:  # the first one that names no disk of the machine is reported
        if part.disk:
            _known(part.disk, machine, part.line, f"part {part.name}")
    placed = [_existing(part, machine) for part in storage.partitions if part.existing]
    for number in {one.disk for one in placed} & on.keys():
        del on[number]
    for part in placement.ordered([part for part in storage.partitions if not part.existing]):
        on[_disk_for(part, storage, machine, on)].append(part)
    for number, parts in on.items():
        start = FIRST
        for index, (part, size) in enumerate(zip(parts, sizes(parts, machine.disks[number], label), strict=True), 1):
            placed.append(Placed(part, number, index, start, size))
            start += size
    return placed


def _existing(part: Partition, machine: TargetMachine) -> Placed:
    """The place of a partition that %pre has created. Before that its size is not known: it is that of the
    whole disk.
    """
    disk, number = partition_place(part.existing) or (len(machine.disks), 0)
    if disk >= len(machine.disks):
        there = ", ".join(disk_name(number) for number in range(len(machine.disks)))
        raise StorageError(part.line, f"part {part.name}: there is no disk of {part.existing}; the machine has {there}")
    if machine.existing is None:
        return Placed(part, disk, number, FIRST, machine.disks[disk] - FIRST)
    for one in machine.existing:
        if (one.disk, one.number) == (disk, number):
            return Placed(part, disk, number, one.start, one.size)
    raise StorageError(part.line, f"part {part.name}: %pre has not created the partition {part.existing}")


def _disk_for(part: Partition, storage: Storage, machine: TargetMachine, on: dict[int, list[Partition]]) -> int:
    label = storage.label or "msdos"
    if part.disk:
        number = _known(part.disk, machine, part.line, f"part {part.name}")
        if number not in on and any(
            (partition_place(one.existing) or (None,))[0] == number for one in storage.partitions
        ):
            raise StorageError(
                part.line,
                f"part {part.name}: %pre has created the partitions of {part.disk}",
                "create this one in %pre, too, and name it with --onpart",
            )
        if number not in on:
            raise StorageError(
                part.line, f"part {part.name}: ignoredisk or clearpart excludes {part.disk}", "add the disk there too"
            )
        candidates = [number]
    else:
        boot = disk_number(storage.boot_disk) if storage.boot_disk else None
        candidates = sorted(on, key=lambda number: (number != boot, number))
    rooms = {number: room(machine.disks[number], label) for number in on}
    fitting = [number for number in candidates if len(on[number]) < MOST_PARTITIONS[label]]
    if (best := placement.best_disk(part, fitting, rooms, on)) is not None:
        return best
    if not on:
        raise StorageError(
            part.line,
            f"part {part.name}: %pre has created the partitions of all disks",
            "create this one in %pre, too, and name it with --onpart",
        )
    if not fitting:
        raise TooManyPartitions(
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

    They share it in proportion to their --size, up to their --maxsize, as with Anaconda: in sectors,
    and each end is then rounded down to a MiB.
    """
    wanted = [(part.size * SECTORS, part.grow, part.maxsize * SECTORS) for part in partitions]
    result, start = [], 0
    for length in grown(wanted, room(disk, label) * SECTORS):
        end = (start * SECTORS + length) // SECTORS
        result.append(end - start)
        start = end
    return result


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
        lines.append(f"start={one.start * SECTORS}, size={one.size * SECTORS}, type={kind}{boot}{named}")
    return "\n".join(lines) + "\n"
