"""A file system that does not change for a while, so that this host can read its blocks from the image.

A frozen file system has an empty journal, and everything that was written to it is on the disk: that is
what freezing is for (fsfreeze(8)). It stays mounted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from string import ascii_lowercase

from imagebuild.errors import GuestError
from imagebuild.guest.ext4.superblock import Read
from imagebuild.guest.shell import Shell
from imagebuild.log import logger

_ROOT = "/sysroot"
_PARTITION = re.compile(r"/dev/sd([a-z])\d+")
_SUPERBLOCK = (1024, 1024)
"""Its offset and length in bytes."""
_SECTOR = 512
"""The unit of /sys/class/block/*/start, whatever the sectors of the disk."""


def only_partition(places: Mapping[str, str], types: Mapping[str, str]) -> tuple[int, str] | None:
    """The number of the disk and libguestfs's name of the partition, if the guest's only mounted file
    system is an ext4 on a partition.

    ``places`` has the device that is mounted at each place, ``types`` what is on each device.
    """
    device = places.get("/", "")
    match = _PARTITION.fullmatch(device)
    if len(places) != 1 or match is None or types.get(device) != "ext4":
        return None
    return ascii_lowercase.index(match[1]), device


@dataclass(frozen=True)
class FrozenFilesystem:
    """Where its partition starts, in bytes, and the SHA-256 of its superblock as the appliance reads it."""

    start: int
    superblock: str

    def checked(self, read: Read) -> Read | None:
        """``read``, which reads its blocks from the image, if it really does."""
        if hashlib.sha256(read(*_SUPERBLOCK)).hexdigest() == self.superblock:
            return read
        logger.warning("the guest's file system is not in its image as the appliance sees it")
        return None


@contextmanager
def frozen(shell: Shell, device: str, flush: str) -> Iterator[FrozenFilesystem | None]:
    """Freeze the guest's root file system while the block runs; None if it cannot be frozen.

    ``device`` is libguestfs's name. The shell command ``flush`` makes QEMU write what it keeps of the image in
    memory.
    """
    name = shell.device(device)
    at, length = _SUPERBLOCK
    read = f"dd if={name} iflag=direct bs=4096 count=1 status=none | tail -c +{at + 1} | head -c {length} | sha256sum"
    commands = (flush, f"cat /sys/class/block/{name.rpartition('/')[2]}/start", read)
    thaw = f"fsfreeze -u {_ROOT}"
    try:
        found = shell.line(f"fsfreeze -f {_ROOT} && {{ {' && '.join(commands)} || {{ {thaw}; false; }}; }}").split()
    except GuestError as error:
        logger.debug("the guest's file system cannot be frozen: %s", error)
        yield None
        return
    try:
        yield FrozenFilesystem(int(found[0]) * _SECTOR, found[1])
    finally:
        shell.line(thaw)
