"""The properties of the target machine that affect the layout of its disks, and kickstart names of
disks.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_LETTERS = re.compile(r"(?:[vsh]|xv)d([a-z])")
_SERIAL = re.compile(r"disk/by-id/(?:\S+[-_])target(\d*)")
UNLIMITED = 2**31
"""MiB of a disk whose size is not known."""


class TargetMachine(NamedTuple):
    """``disks`` are the sizes of the target disks in MiB, in order; ``firmware`` is the guest's."""

    disks: tuple[int, ...]
    firmware: str = "bios"

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


def disk_name(number: int) -> str:
    """The kickstart name of a disk (from 0) on a virtio bus."""
    return f"vd{chr(ord('a') + number)}"


def firmware(command_line: str) -> str:
    """The firmware named on the kernel's command line; ``bios`` if there is none."""
    found = re.search(r"(?:^|\s)kickstrap\.firmware=(bios|uefi|uefi-secure)(?=\s|$)", command_line)
    return found[1] if found else "bios"
