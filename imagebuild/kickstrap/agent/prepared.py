"""The root file system that the host has written into the target disk before the VM started: unpacking the
root archive takes a third of an installation if the VM is emulated, and a few seconds on the host.

Both sides decide with this module, from the same kickstart, where it is and how it is made.
``kickstrap.prepared=`` on the kernel's command line is the digest of that. The VM uses what it finds only
if it would have made the same file system at the same place; otherwise it makes it.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from typing import TYPE_CHECKING, NamedTuple

from . import filesystems, readable
from .disks import ESP
from .payload import HOST_PAYLOAD
from .plan import Liveimg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .disks import FileSystem, Storage
    from .identity import DiskIdentity
    from .layout import Placed
    from .plan import InstallPlan

MIB = 1024 * 1024
_SUPERBLOCK = 1024
"""Where it starts, and how long it is, in bytes (linux: fs/ext4/ext4.h)."""
_MAGIC, _CLEAN, _NEEDS_RECOVERY = 0xEF53, 1, 0x4


class PreparedRoot(NamedTuple):
    """The file system of ``/``, and the partition that it fills."""

    file_system: FileSystem
    placed: Placed

    @property
    def start(self) -> int:
        """Its first byte on its disk."""
        return self.placed.start * MIB


def root(plan: InstallPlan, storage: Storage, placed: Sequence[Placed], identity: DiskIdentity) -> PreparedRoot | None:
    """What the host can prepare for ``plan``; None if it cannot. ``storage`` is that of the plan, complete,
    and ``placed`` are its partitions.

    All that the archive contains must belong into one ext4 on a partition of a new disk, and nothing may
    have changed that disk.
    """
    if not isinstance(plan.payload, Liveimg) or plan.payload.path != HOST_PAYLOAD or not identity.seed:
        return None
    if plan.payload.sha256 != identity.payload or plan.pre or plan.pre_install:
        return None
    if storage.arrays or storage.groups or storage.btrfs or storage.encrypted:
        return None
    mounted = [fs for fs in storage.file_systems if fs.fstype != "swap"]
    found = [fs for fs in mounted if fs.mountpoint == "/"]
    if len(found) != 1 or any(not _holds_nothing(fs) for fs in mounted if fs not in found):
        return None
    fs, places = found[0], [one for one in placed if one.partition.name == found[0].on]
    # words of --mkfsoptions may be about a device
    if fs.fstype != "ext4" or fs.mkfs or len(places) != 1 or any(one.partition.existing for one in placed):
        return None
    return PreparedRoot(fs, places[0])


def _holds_nothing(fs: FileSystem) -> bool:
    """Whether nothing of an archive gets into this file system, not even the owner of its top folder."""
    return fs.mountpoint == ESP and fs.fstype == "vfat"


def command(found: PreparedRoot, identity: DiskIdentity, version: str, device: str) -> list[str]:
    """The command that makes the file system on ``device``; ``version`` is what this mkfs says of itself."""
    return filesystems.identified(found.file_system, device, readable.words("ext4", version), identity)[1]


def digest(found: PreparedRoot, identity: DiskIdentity, version: str) -> str:
    """The SHA-256 of what determines the file system."""
    at, size = found.placed, found.placed.size
    lines = [identity.payload, identity.epoch, f"{at.disk} {at.start} {size}", version.strip()]
    lines += command(found, identity, version, "/")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def is_on(disk: str, found: PreparedRoot, identity: DiskIdentity) -> bool:
    """Whether this file system, and no other one, is at its place on ``disk``. Raises OSError."""
    with open(disk, "rb", buffering=0) as file:  # noqa: PTH123 - a device
        file.seek(found.start + _SUPERBLOCK)
        block = file.read(_SUPERBLOCK)
    if len(block) < _SUPERBLOCK:
        return False
    blocks, log_size = struct.unpack_from("<I16xI", block, 4)
    magic, state = struct.unpack_from("<HH", block, 56)
    (incompatible,) = struct.unpack_from("<I", block, 96)
    (more_blocks,) = struct.unpack_from("<I", block, 0x150)
    wanted, _ = filesystems.identified(found.file_system, disk, (), identity)
    return bool(
        magic == _MAGIC
        and state == _CLEAN
        and not incompatible & _NEEDS_RECOVERY
        and (blocks + (more_blocks << 32)) * (1024 << log_size) == found.placed.size * MIB
        and str(uuid.UUID(bytes=block[104:120])) == wanted
        and block[120:136].rstrip(b"\0") == found.file_system.label.encode()[:16]
        and str(uuid.UUID(bytes=block[236:252])) == filesystems.hash_seed(found.file_system, identity)
    )
