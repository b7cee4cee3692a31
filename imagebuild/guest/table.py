"""Diagnosis of disks on which nothing was found: an empty disk, a damaged partition table, a
truncated image, something else."""

from __future__ import annotations

from typing import Any

from imagebuild.errors import GuestError

_GPT = b"EFI PART"
_GUARDS_GPT = 0xEE
_BEGINNING = 1 << 20


def nothing_there(guestfs: Any) -> GuestError:
    """The error for disks with no known contents, neither in partitions nor on the whole disk."""
    first = guestfs.list_devices()[0]
    size = guestfs.blockdev_getsize64(first)
    begins = guestfs.pread_device(first, min(_BEGINNING, size), 0)
    sector = guestfs.blockdev_getss(first)
    guarded = begins[510:512] == b"\x55\xaa" and any(begins[at] == _GUARDS_GPT for at in range(450, 514, 16))
    header = begins[sector : sector + 92]
    if header[:8] == _GPT and (last := int.from_bytes(header[32:40], "little") + 1) * sector > size:
        return GuestError(
            f"this image is truncated: its partition table is for a disk of {last * sector} bytes, but it has {size}",
            "copy it again from its source",
        )
    if guestfs.list_partitions():
        return GuestError(
            "this disk is partitioned, but none of its partitions has a file system", "is it the guest's first disk?"
        )
    if not any(begins):
        return GuestError("this disk is empty: it begins with zeros only", "is it the guest's first disk?")
    if header[:8] == _GPT or guarded:
        return GuestError(
            f"the partition table of {first} is damaged: it should be a GPT, but its header is not valid",
            "check it with `sgdisk --verify`; gdisk can rebuild it from the copy at the end of the disk",
        )
    return GuestError(
        f"this disk has neither a known partition table nor a known file system; it begins with {begins[:8].hex(' ')}",
        "is it a disk image, and in the given format?",
    )
