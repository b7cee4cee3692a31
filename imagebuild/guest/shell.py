"""Commands of the appliance itself, for everything that libguestfs has no call for.

The kernel names disks in the order in which it finds them, and libguestfs by their places on the
SCSI bus, so the names may differ.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from functools import cached_property
from string import ascii_lowercase
from typing import Any

LIST_DISKS = "echo /sys/block/sd*/device/scsi_disk/*"
"""A command that prints where each disk is on the SCSI bus."""
_DISK = re.compile(r"/dev/sd[a-z]")
_ON_THE_BUS = re.compile(r"/sys/block/(sd[a-z]+)/device/scsi_disk/\d+:\d+:(\d+):\d+")


class Shell:
    """The shell of a running appliance."""

    def __init__(self, guestfs: Any) -> None:
        self._guestfs = guestfs

    def run(self, *commands: Iterable[str]) -> str:
        """Run commands, given as lists of words, one after the other; returns their output.
        GuestError if one fails.

        Devices have the kernel's names, see :meth:`device`.
        """
        return self.line(" && ".join(shlex.join(words) for words in commands))

    def line(self, text: str) -> str:
        """Run a line of shell; returns its output, less than 4 MiB. GuestError if it fails."""
        return str(self._guestfs.debug("sh", [text]))

    def device(self, name: str) -> str:
        """The kernel's name of a libguestfs device."""
        return _DISK.sub(lambda found: self._names.get(found[0], found[0]), name) if _DISK.match(name) else name

    @cached_property
    def _names(self) -> Mapping[str, str]:
        found = disks(self.line(LIST_DISKS))
        return {f"/dev/sd{letter}": f"/dev/{name}" for letter, name in zip(ascii_lowercase, found, strict=False)}


def disks(listed: str) -> list[str]:
    """The kernel's names of all disks in libguestfs's order, its own disk last, from the output of
    ``LIST_DISKS``."""
    return [name for _, name in sorted((int(target), name) for name, target in _ON_THE_BUS.findall(listed))]
