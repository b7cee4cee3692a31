"""The appliance's device for a device name in a guest's fstab or crypttab."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from imagebuild.errors import GuestError
from imagebuild.guest import encryption, fstab
from imagebuild.guest.block import devices

_BY_TABLE = {"PARTUUID": "PART_ENTRY_UUID", "PARTLABEL": "PART_ENTRY_NAME"}
_USE_UUIDS = "use UUID= or LABEL= for the file systems in the guest's /etc/fstab"


def find(guestfs: Any, spec: str, crypttab: Mapping[str, str]) -> str:
    """The device for the first field of a line in fstab or crypttab. GuestError if it is missing or
    cannot be determined."""
    if (name := spec.removeprefix("/dev/mapper/")) in crypttab and name != spec:
        device = find(guestfs, crypttab[name], {})
        opened = encryption.mapped(guestfs, device)
        if opened is None:
            raise encryption.locked(guestfs, [device])
        return opened
    kind, value = fstab.identifier(spec)
    if kind == "UUID":
        return _with_uuid(guestfs, value)
    if kind == "LABEL":
        return str(guestfs.findfs_label(value))
    if kind in _BY_TABLE:
        for device in guestfs.list_partitions():
            if guestfs.blkid(device).get(_BY_TABLE[kind], "").lower() == value.lower():
                return str(device)
        raise GuestError(f"no partition has {kind} {value}")
    if kind == "hardware":
        return _by_hardware(guestfs, spec, value)
    if array := re.fullmatch(r"/dev/(?:disk/by-id/md-name-|md/|md)(.+)", value):
        return _array(guestfs, array[1])
    if value.startswith("/dev/dm-"):
        raise GuestError(f"{value} is a name that the kernel assigned when the guest was running", _USE_UUIDS)
    if re.match(r"/dev/(?:sd|nvme|mmcblk|loop|ram)", value) and value not in {
        *devices(guestfs),
        *guestfs.list_devices(),
    }:
        raise GuestError(f"{spec} is not on the given disks", "give all disks of the guest, in its order")
    return value


def check_disks(guestfs: Any, specs: Iterable[str]) -> None:
    """GuestError if there are several disks and their names are of different kinds: it is then not
    known which is which."""
    kinds = {kind: spec for spec in specs if (kind := fstab.kind_of_disk(spec))}
    if len(kinds) > 1 and len(guestfs.list_devices()) > 1:
        raise GuestError(
            "the guest's /etc/fstab contains disks of different kinds "
            f"({' and '.join(sorted(kinds.values()))}), so it is not known which image is which disk",
            _USE_UUIDS,
        )


def _with_uuid(guestfs: Any, value: str) -> str:
    try:
        return str(guestfs.findfs_uuid(value))
    except GuestError:
        # FAT identifiers are usually upper case and the others lower case, but not always.
        for device in devices(guestfs):
            if guestfs.vfs_uuid(device).lower() == value.lower():
                return device
        raise


def _by_hardware(guestfs: Any, spec: str, partition: str) -> str:
    """A partition, or with an empty number a whole disk, that is named by the machine's hardware:
    this is unambiguous only with one disk."""
    disks = guestfs.list_devices()
    if len(disks) != 1:
        raise GuestError(
            f"{spec} names a disk by the hardware of the machine, "
            f"so it is not known which of the {len(disks)} images it is",
            _USE_UUIDS,
        )
    return f"{disks[0]}{partition}"


def _array(guestfs: Any, name: str) -> str:
    """A RAID array by its number or name: its superblock contains ``HOST:NAME``. If there is only
    one array, any name matches."""
    arrays = list(guestfs.list_md_devices())
    for device in arrays:
        if guestfs.md_detail(device).get("name", "").rpartition(":")[2] == name:
            return str(device)
    if len(arrays) == 1:
        return str(arrays[0])
    raise GuestError(f"none of the guest's RAID arrays is called {name}", _USE_UUIDS)
