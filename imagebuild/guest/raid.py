"""Linux RAID (md) superblocks of version 1: reading and replacing the UUID of their array.

libguestfs has no call for it. The layout is that of ``struct mdp_superblock_1`` and
``bitmap_super_t`` in the kernel's sources.
"""

from __future__ import annotations

import os
import uuid
from typing import Any

from imagebuild.errors import GuestError

_MAGIC = bytes.fromhex("fc4e2ba9 01000000")
"""The magic number and the major version, little endian."""
_FEATURES, _SET_UUID, _BITMAP, _DEVICE_UUID = slice(8, 12), slice(16, 32), slice(96, 100), slice(168, 184)
_SUM, _MOST_DEVICES = slice(216, 220), slice(220, 224)
_ROLES = 256
"""The offset of the roles of the devices, two bytes each."""
_HAS_BITMAP = 1
_FOREIGN = 0x0F00
"""Feature bits of structures that contain further copies of the UUID: a cluster's bitmaps, a
journal, a partial parity log."""
_BITMAP_MAGIC = b"bitm"


def members(guestfs: Any, devices: list[str]) -> dict[str, str]:
    """The devices among ``devices`` that are part of an array, with the array's UUID as in blkid.
    GuestError for arrays that cannot be renewed."""
    found = {}
    for device in devices:
        if guestfs.vfs_type(device) == "linux_raid_member":
            _, block = _superblock(guestfs, device)
            found[device] = str(uuid.UUID(bytes=block[_SET_UUID]))
    return found


def renew(guestfs: Any, device: str, new: str) -> None:
    """Give the part of an array on ``device`` the array UUID ``new`` and a new UUID of its own. The
    array must be stopped."""
    at, found = _superblock(guestfs, device)
    block = bytearray(found)
    block[_SET_UUID] = uuid.UUID(new).bytes
    block[_DEVICE_UUID] = os.urandom(16)
    block[_SUM] = _sum(block)
    if _number(block[_FEATURES]) & _HAS_BITMAP:
        bitmap = at + int.from_bytes(block[_BITMAP], "little", signed=True) * 512
        if guestfs.pread_device(device, 4, bitmap) == _BITMAP_MAGIC:
            guestfs.pwrite_device(device, uuid.UUID(new).bytes, bitmap + 8)
    guestfs.pwrite_device(device, bytes(block), at)


def _superblock(guestfs: Any, device: str) -> tuple[int, bytes]:
    """The offset of the superblock of version 1 on ``device`` in bytes, and its content."""
    sectors = guestfs.blockdev_getsize64(device) // 512
    for at in (8, 0, (sectors - 16) & ~7):  # versions 1.2, 1.1 and 1.0
        block = guestfs.pread_device(device, 4096, at * 512)
        if block[:8] == _MAGIC and _number(block[144:152]) == at:
            block = block[: _ROLES + 2 * _number(block[_MOST_DEVICES])]
            if block[_SUM] != _sum(bytearray(block)):
                raise GuestError(f"the RAID superblock of {device} is damaged: its checksum is wrong")
            if _number(block[_FEATURES]) & _FOREIGN:
                raise GuestError(f"the RAID of {device} has a journal, a parity log or a cluster's bitmap", _HINT)
            return at * 512, block
    raise GuestError(f"the RAID superblock of {device} is not of version 1", _HINT)


_HINT = "its identifier cannot be renewed; leave `volumes` out of `kinds`"


def _sum(block: bytearray) -> bytes:
    """The sum of all 32-bit words, with the checksum itself counted as 0 and the carry added."""
    plain = block[: _SUM.start] + bytes(4) + block[_SUM.stop :]
    total = sum(_number(plain[at : at + 4]) for at in range(0, len(plain), 4))
    return (((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF).to_bytes(4, "little")


def _number(field: bytes | bytearray) -> int:
    return int.from_bytes(field, "little")
