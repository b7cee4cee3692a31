"""The machine that is installed, as far as its disks' layout depends on it, and the names that a kickstart has for disks."""

from __future__ import annotations

import re
from typing import NamedTuple

_LETTERS = re.compile(r"(?:[vsh]|xv)d([a-z])")
_SERIAL = re.compile(r"disk/by-id/(?:\S+[-_])target(\d*)")
UNLIMITED = 2**31
"""MiB of a disk of which only the name is known."""


class TargetMachine(NamedTuple):
    """``disks`` are the sizes of the disks to install on, in MiB, in their order; ``firmware`` is the guest's."""

    disks: tuple[int, ...]
    firmware: str = "bios"

    @property
    def uefi(self) -> bool:
        return self.firmware != "bios"

    @property
    def secure(self) -> bool:
        """Whether the firmware starts signed programs only."""
        return self.firmware == "uefi-secure"


def disk_number(name: str) -> int | None:
    """Which disk of the machine (from 0) ``name`` means; None if this is no name of a disk here.

    The host attaches the disks in order, so a kernel's name counts by its letter, whatever the bus: ``vdb``,
    ``/dev/sdb`` and ``disk/by-id/virtio-target2`` are the second.
    """
    name = name.removeprefix("/dev/")
    if found := _LETTERS.fullmatch(name):
        return ord(found[1]) - ord("a")
    if found := _SERIAL.fullmatch(name):
        number = int(found[1] or 1)
        return number - 1 if number else None
    return None


def disk_name(number: int) -> str:
    """How a kickstart calls a disk (from 0) on a virtio bus."""
    return f"vd{chr(ord('a') + number)}"


def firmware(command_line: str) -> str:
    """The firmware that the kernel's command line names, ``bios`` if it names none."""
    found = re.search(r"(?:^|\s)kickstrap\.firmware=(bios|uefi|uefi-secure)(?=\s|$)", command_line)
    return found[1] if found else "bios"
