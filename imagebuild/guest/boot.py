"""The partitions that a guest may boot from, whether its fstab lists them or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from imagebuild.errors import GuestError
from imagebuild.log import logger

_ESP, _XBOOTLDR = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "bc13c2ff-59e6-4262-a352-b275fd6f7172"
"""Types of GPT partitions (UAPI group, "Discoverable Partitions Specification")."""
_ESP_OF_MBR = 0xEF
_FAT = ("vfat", "msdos")
_OTHERS = ("ext2", "ext3", "ext4", "xfs", "btrfs")
_MARKS = ("/grub", "/grub2", "/loader", "/EFI", "/efi", "/extlinux", "/syslinux", "/boot", "/boot.scr", "/cmdline.txt")
"""Entries of the top folder of a file system that a boot loader reads."""
_KERNELS = ("/vmlinu[xz]*", "/initr*", "/[Ii]mage*", "/kernel*.img")


@contextmanager
def boot_partitions(guestfs: Any, places: Mapping[str, str], types: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Mount the partitions that the guest may boot from and that its fstab does not list. They are
    mounted on temporary folders of the guest, which are removed at the end.

    Yields the device at each place: at those folders, and at the places of the FAT file systems in
    fstab. ``places`` contains the device that is mounted at each place, ``types`` what is on each
    device. GuestError if a boot partition cannot be mounted.
    """
    # Both are needed: mountpoints() lists each device once, and places contains what was mounted according to fstab.
    there = dict(guestfs.mountpoints())
    there |= {device: place for place, device in reversed([*places.items()])}
    there = {_canonical(guestfs, device): place for device, place in there.items()}
    found = {place: device for device, place in there.items() if place != "/" and types.get(device) in _FAT}
    mounted = {guestfs.vfs_uuid(device) for device in there if types.get(device) == "btrfs"}
    made: dict[str, str] = {}
    try:
        for device, type_ in types.items():
            if (
                device in there
                or type_ not in (*_FAT, *_OTHERS)
                or (type_ == "btrfs" and guestfs.vfs_uuid(device) in mounted)
            ):
                continue
            if place := _mounted(guestfs, device, certain=type_ in _FAT or _is_for_booting(guestfs, device)):
                made[place] = device
        yield found | made
    finally:
        for place in made:
            guestfs.umount(place)
            guestfs.rmdir(place)


def _mounted(guestfs: Any, device: str, *, certain: bool) -> str:
    """Where ``device`` is now mounted; empty if it is not known to be a boot partition and contains
    nothing that boots."""
    place = str(guestfs.mkdtemp("/.imagebuild-XXXXXX"))
    try:
        guestfs.mount(device, place)
    except GuestError as error:
        guestfs.rmdir(place)
        if not certain:
            logger.debug("%s is not searched for boot files: %s", device, error)
            return ""
        raise GuestError(
            f"{device} may be a boot partition of the guest, but cannot be mounted: {error.message}",
            "check and repair its file system, or remove the partition",
        ) from error
    if certain or any(guestfs.exists(place + mark) for mark in _MARKS):
        return place
    if any(guestfs.glob_expand(place + kernels) for kernels in _KERNELS):
        return place
    guestfs.umount(place)
    guestfs.rmdir(place)
    return ""


def _is_for_booting(guestfs: Any, device: str) -> bool:
    """Whether the partition table marks it as a boot partition. A device that is not a partition
    has no entry there."""
    if device not in guestfs.list_partitions():
        return False
    disk, number = guestfs.part_to_dev(device), guestfs.part_to_partnum(device)
    scheme = guestfs.part_get_parttype(disk)
    if scheme == "gpt":
        return str(guestfs.part_get_gpt_type(disk, number)).lower() in (_ESP, _XBOOTLDR)
    return scheme == "msdos" and bool(guestfs.part_get_mbr_id(disk, number) == _ESP_OF_MBR)


def _canonical(guestfs: Any, device: str) -> str:
    """The name of ``device`` in ``devices``: fstab may refer to a logical volume by the name of its
    mapping."""
    if device.startswith("/dev/mapper/"):
        try:
            return str(guestfs.lvm_canonical_lv_name(device))
        except GuestError:
            return device  # not a logical volume
    return device
