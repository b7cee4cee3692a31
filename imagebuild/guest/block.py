"""Identifiers of what is on a guest's disks: file systems, swap, partition tables and partitions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from imagebuild.errors import GuestError

Kind = Literal["file systems", "partitions"]
_BY_LIBGUESTFS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "swap")
_MBR_SIGNATURE = 440
"""Where a disk with an MBR keeps its 4 bytes of identity, little endian; partitions' PARTUUIDs begin with it."""
_FAT32 = ((67, 82, b"FAT32"), (39, 54, b"FAT1"))
"""Where a FAT keeps its volume id, and where its type stands: FAT32, then FAT12 and FAT16."""
_BACKUP_OF_FAT32 = 6 * 512


@dataclass(frozen=True)
class Identifier:
    """One identifier: the device it is on (and the partition's number), what kind of thing has it, its value as blkid has it."""

    device: str
    kind: Kind
    type: str
    value: str
    number: int = 0


def identifiers(guestfs: Any) -> list[Identifier]:
    """All that is known how to renew, on every device of the appliance."""
    found = []
    for device in [*guestfs.list_partitions(), *guestfs.list_devices(), *guestfs.lvs(), *guestfs.list_md_devices()]:
        type_ = guestfs.vfs_type(device)
        if type_ in (*_BY_LIBGUESTFS, "vfat") and (value := guestfs.vfs_uuid(device)):
            found.append(Identifier(device, "file systems", type_, value))
    for disk in guestfs.list_devices():
        found += _of_table(guestfs, disk)
    return found


def _of_table(guestfs: Any, disk: str) -> list[Identifier]:
    try:
        scheme = guestfs.part_get_parttype(disk)
    except GuestError:
        return []  # no partition table
    if scheme == "gpt":
        parts = [one["part_num"] for one in guestfs.part_list(disk)]
        guids = [Identifier(disk, "partitions", "gpt", guestfs.part_get_gpt_guid(disk, n).lower(), n) for n in parts]
        return [Identifier(disk, "partitions", "gpt", guestfs.part_get_disk_guid(disk).lower()), *guids]
    if scheme == "msdos":
        signature = guestfs.pread_device(disk, 4, _MBR_SIGNATURE)
        return [Identifier(disk, "partitions", "mbr", signature[::-1].hex())] if any(signature) else []
    return []


def renew(guestfs: Any, old: Identifier, new: str) -> None:
    """Give what has ``old`` the identifier ``new``. Nothing on the device may be mounted. GuestError if that fails."""
    if old.type.startswith("ext"):
        # tune2fs wants it checked right before: it writes all checksums anew.
        guestfs.e2fsck(old.device, forceall=True)
    if old.type in _BY_LIBGUESTFS:
        guestfs.set_uuid(old.device, new)
    elif old.type == "vfat":
        _renew_fat(guestfs, old.device, new)
    elif old.type == "gpt" and old.number:
        guestfs.part_set_gpt_guid(old.device, old.number, new)
    elif old.type == "gpt":
        guestfs.part_set_disk_guid(old.device, new)
    else:
        guestfs.pwrite_device(old.device, bytes.fromhex(new)[::-1], _MBR_SIGNATURE)


def _renew_fat(guestfs: Any, device: str, new: str) -> None:
    boot = guestfs.pread_device(device, 512, 0)
    place = next((at for at, mark, name in _FAT32 if boot[mark : mark + len(name)] == name), None)
    if place is None or not re.fullmatch(r"[0-9A-F]{4}-[0-9A-F]{4}", new):
        raise GuestError(f"{device} has no volume id where a FAT keeps it")
    content = bytes.fromhex(new.replace("-", ""))[::-1]
    guestfs.pwrite_device(device, content, place)
    if place == _FAT32[0][0] and guestfs.pread_device(device, 512, _BACKUP_OF_FAT32)[82:87] == b"FAT32":
        guestfs.pwrite_device(device, content, _BACKUP_OF_FAT32 + place)
