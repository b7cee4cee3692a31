"""What to say of disks on which nothing was found: an empty one, a damaged partition table, an image that was cut, something else."""

from __future__ import annotations

from typing import Any

from imagebuild.errors import GuestError

_GPT = b"EFI PART"
_GUARDS_GPT = 0xEE
_BEGINNING = 1 << 20


def nothing_there(guestfs: Any) -> GuestError:
    """The error for disks of which neither partitions nor the whole have anything that is known."""
    first = guestfs.list_devices()[0]
    size = guestfs.blockdev_getsize64(first)
    begins = guestfs.pread_device(first, min(_BEGINNING, size), 0)
    sector = guestfs.blockdev_getss(first)
    guarded = begins[510:512] == b"\x55\xaa" and any(begins[at] == _GUARDS_GPT for at in range(450, 514, 16))
    header = begins[sector : sector + 92]
    if header[:8] == _GPT and (last := int.from_bytes(header[32:40], "little") + 1) * sector > size:
        return GuestError(
            f"this image was cut: its partition table is for a disk of {last * sector} bytes, and it has {size}",
            "copy it again from where it came from",
        )
    if guestfs.list_partitions():
        return GuestError(
            "this disk is partitioned, and none of its partitions has a file system", "is it the guest's first disk?"
        )
    if not any(begins):
        return GuestError("this disk is empty: it begins with nothing but zeros", "is it the guest's first disk?")
    if header[:8] == _GPT or guarded:
        return GuestError(
            f"the partition table of {first} is damaged: it should be a GPT, and its header is not valid",
            "`sgdisk --verify` says more; gdisk can rebuild it from the copy at the end of the disk",
        )
    return GuestError(
        f"this disk has neither a partition table nor a file system that is known here; it begins with {begins[:8].hex(' ')}",
        "is it a disk image, and in the format that was named?",
    )
