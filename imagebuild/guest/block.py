"""Identifiers on a guest's disks: of file systems, swap, partition tables, partitions, LVM, RAID
and LUKS."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from imagebuild.errors import GuestError
from imagebuild.guest import inventory, luks, lvm_identifiers, raid

Kind = Literal["file systems", "partitions", "volumes"]
_BY_LIBGUESTFS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "swap")
_MBR_SIGNATURE = 440
"""The offset of the 4-byte disk signature in an MBR, little endian; the PARTUUIDs of its partitions
begin with it."""
_FAT32 = ((67, 82, b"FAT32"), (39, 54, b"FAT1"))
"""The offsets of the volume id of a FAT and of its type: FAT32, then FAT12 and FAT16."""
_BYTES_PER_SECTOR, _BACKUP_OF_FAT32 = slice(11, 13), slice(50, 52)
"""The offsets of the sector size of a FAT32, and of the number of the sector that contains the copy
of its first sector."""


@dataclass(frozen=True)
class Identifier:
    """One identifier: the device it is on (and the number of the partition), the kind of thing that
    has it, and its value as in blkid."""

    device: str
    kind: Kind
    type: str
    value: str
    number: int = 0


def devices(guestfs: Any) -> list[str]:
    """Everything in the appliance that can contain a file system or a part of a volume."""
    if (found := inventory.plain(guestfs)) is not None:
        return list(found)
    partitions = guestfs.list_partitions()
    divided = {guestfs.part_to_dev(partition) for partition in partitions}
    whole = [disk for disk in guestfs.list_devices() if disk not in divided]
    return [*partitions, *whole, *guestfs.lvs(), *guestfs.list_md_devices(), *guestfs.list_dm_devices()]


def identifiers(guestfs: Any, kinds: Collection[Kind]) -> list[Identifier]:
    """All identifiers of ``kinds`` that can be renewed, on all devices of the appliance. GuestError
    for volumes that cannot be renewed."""
    found: list[Identifier] = []
    if "file systems" in kinds:
        for device in devices(guestfs):
            type_ = guestfs.vfs_type(device)
            if type_ in (*_BY_LIBGUESTFS, "vfat") and (value := guestfs.vfs_uuid(device)):
                found.append(Identifier(device, "file systems", type_, value))
    if "partitions" in kinds:
        for disk in guestfs.list_devices():
            found += _of_table(guestfs, disk)
    if "volumes" in kinds:
        found += _of_volumes(guestfs)
    return found


def _of_volumes(guestfs: Any) -> list[Identifier]:
    everywhere = devices(guestfs)
    types = {device: guestfs.vfs_type(device) for device in everywhere}
    arrays = raid.members(guestfs, everywhere)
    found = [
        Identifier(device, "volumes", "luks", guestfs.luks_uuid(device))
        for device, type_ in types.items()
        if type_ == "crypto_LUKS"
    ]
    found += [Identifier(f"RAID {value}", "volumes", "raid", value) for value in dict.fromkeys(arrays.values())]
    physical = [device for device, type_ in types.items() if type_ == "LVM2_member"]
    volumes = dict.fromkeys(one for device in physical for one in lvm_identifiers.volumes(guestfs, device))
    here = {one.value for one in volumes if one.name in physical}
    for one in volumes:
        if one.type == "pv" and one.value not in here:
            raise GuestError(
                f"the disk of the LVM physical volume {one.name} is missing ({one.value})",
                "give all disks of the guest, and unlock encrypted ones with `--key`",
            )
        if one.type != "pv" or one.name in physical:
            found.append(Identifier(one.name, "volumes", one.type, one.value))
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


Pairs = Sequence[tuple[Identifier, str]]
"""Things with an identifier, and their new identifiers."""


def renew_contents(guestfs: Any, pairs: Pairs) -> None:
    """Renew file systems, LUKS and LVM. Nothing may be mounted. GuestError if that fails.

    If volumes are among ``pairs``, the appliance continues with their old identifiers, and must be
    started again.
    """
    for old, new in pairs:
        if old.kind == "file systems":
            _renew_file_system(guestfs, old, new)
        elif old.type == "luks":
            luks.renew(guestfs, old.device, new)
    volumes = _volumes(pairs)
    for device in devices(guestfs) if volumes else []:
        if guestfs.vfs_type(device) == "LVM2_member":
            lvm_identifiers.renew(guestfs, device, volumes)


def renew_below(guestfs: Any, pairs: Pairs) -> None:
    """Renew what the others are built on: RAID, partitions and their tables. If volumes are among
    ``pairs``, they are stopped first."""
    volumes = _volumes(pairs)
    if volumes:
        members = raid.members(guestfs, devices(guestfs))
        guestfs.vg_activate_all(activate=False)
        for array in guestfs.list_md_devices():
            guestfs.md_stop(array)  # a running array would write its superblock again
        for device, value in members.items():
            if value in volumes:
                raid.renew(guestfs, device, volumes[value])
    for old, new in pairs:
        if old.kind == "partitions":
            _renew_partition(guestfs, old, new)


def _volumes(pairs: Pairs) -> dict[str, str]:
    return {old.value: new for old, new in pairs if old.kind == "volumes"}


def _renew_file_system(guestfs: Any, old: Identifier, new: str) -> None:
    if old.type.startswith("ext"):
        # tune2fs requires a check immediately before, because it rewrites all checksums.
        guestfs.e2fsck(old.device, forceall=True)
    if old.type == "vfat":
        _renew_fat(guestfs, old.device, new)
    else:
        guestfs.set_uuid(old.device, new)


def _renew_partition(guestfs: Any, old: Identifier, new: str) -> None:
    if old.type == "gpt" and old.number:
        guestfs.part_set_gpt_guid(old.device, old.number, new)
    elif old.type == "gpt":
        guestfs.part_set_disk_guid(old.device, new)
    else:
        guestfs.pwrite_device(old.device, bytes.fromhex(new)[::-1], _MBR_SIGNATURE)


def _renew_fat(guestfs: Any, device: str, new: str) -> None:
    boot = guestfs.pread_device(device, 512, 0)
    place = next((at for at, mark, name in _FAT32 if boot[mark : mark + len(name)] == name), None)
    if place is None or not re.fullmatch(r"[0-9A-F]{4}-[0-9A-F]{4}", new):
        raise GuestError(f"{device} has no volume id in the place where FAT stores it")
    content = bytes.fromhex(new.replace("-", ""))[::-1]
    guestfs.pwrite_device(device, content, place)
    size, number = (int.from_bytes(boot[field], "little") for field in (_BYTES_PER_SECTOR, _BACKUP_OF_FAT32))
    backup = size * number
    if place == _FAT32[0][0] and number and guestfs.pread_device(device, 512, backup)[82:87] == b"FAT32":
        guestfs.pwrite_device(device, content, backup + place)
