"""The properties of the target machine that affect the layout of its disks, and kickstart names of
disks.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_LETTERS = re.compile(r"(?:[vsh]|xv)d([a-z])")
_SERIAL = re.compile(r"disk/by-id/(?:\S+[-_])target(\d*)")
_PARTITION = re.compile(r"((?:[vsh]|xv)d[a-z])([1-9]\d*)|(disk/by-id/\S+)-part([1-9]\d*)")
UNLIMITED = 2**31
"""MiB of a disk whose size is not known."""


class ExistingPartition(NamedTuple):
    """The partition ``number`` (from 1) on a disk (from 0), in MiB."""

    disk: int
    number: int
    start: int
    size: int


class TargetMachine(NamedTuple):
    """``disks`` are the sizes of the target disks in MiB, in order; ``firmware`` is the guest's.
    ``existing`` are the partitions that %pre has created; None before that.
    """

    disks: tuple[int, ...]
    firmware: str = "bios"
    existing: tuple[ExistingPartition, ...] | None = None

    @property
    def uefi(self) -> bool:
        return self.firmware != "bios"

    @property
    def secure(self) -> bool:
        """Whether the firmware starts only signed programs."""
        return self.firmware == "uefi-secure"


def disk_number(name: str) -> int | None:
    """The disk of the machine (from 0) that ``name`` refers to; None if it is not a known disk
    name.

    The host attaches the disks in order, so only the letter of a kernel name counts, whatever the
    bus: ``vdb``, ``/dev/sdb`` and ``disk/by-id/virtio-target2`` are the second disk.
    """
    name = name.removeprefix("/dev/")
    if found := _LETTERS.fullmatch(name):
        return ord(found[1]) - ord("a")
    if found := _SERIAL.fullmatch(name):
        number = int(found[1] or 1)
        return number - 1 if number else None
    return None


def partition_place(name: str) -> tuple[int, int] | None:
    """The disk (from 0) and the number (from 1) of the partition that ``name`` refers to, such as ``vdb2``
    or ``disk/by-id/virtio-target2-part2``; None if it is no such name.
    """
    found = _PARTITION.fullmatch(name.removeprefix("/dev/"))
    if found is None:
        return None
    disk = disk_number(found[1] or found[3])
    return None if disk is None else (disk, int(found[2] or found[4]))


def disk_name(number: int) -> str:
    """The kickstart name of a disk (from 0) on a virtio bus."""
    return f"vd{chr(ord('a') + number)}"


def firmware(command_line: str) -> str:
    """The firmware named on the kernel's command line; ``bios`` if there is none."""
    found = re.search(r"(?:^|\s)kickstrap\.firmware=(bios|uefi|uefi-secure)(?=\s|$)", command_line)
    return found[1] if found else "bios"
