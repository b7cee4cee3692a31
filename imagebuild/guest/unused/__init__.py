"""Zeros in place of everything on a guest's disks that nothing refers to any more.

What a file system gives up keeps its bytes: in free blocks, in journals, in inodes that nobody uses, in swap areas, in LVM's free
extents and between partitions. A discard alone is no answer: what is smaller than the disk's unit of it is left out, and each file
system remembers more than its free blocks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from imagebuild.errors import GuestError
from imagebuild.guest.shell import Shell
from imagebuild.guest.unused import ext, fat, lvm, partitions, swap, xfs
from imagebuild.log import logger

_PARTITION = re.compile(r"(/dev/sd[a-z])\d+")
_EXT = ("ext2", "ext3", "ext4")
"""zerofree(8) is for these; to fill them with a file of zeros leaves the blocks that ext4 reserves for itself (``s_resv_clusters``)."""
_BEYOND_FREE_BLOCKS = {"ext2": ext.wipe, "ext3": ext.wipe, "ext4": ext.wipe, "xfs": xfs.wipe, "vfat": fat.wipe}


def wipe(
    guestfs: Any,
    images: Sequence[Path],
    places: Mapping[str, str],
    types: Mapping[str, str],
    swap_files: Sequence[str] = (),
    *,
    punches: bool,
) -> list[str]:
    """Zero what is unused on the disks of a guest that is mounted at ``places`` (mountpoint to device); it is unmounted afterwards.

    ``types`` says what is on each device of the guest, as blkid calls it; ``swap_files`` are paths in the guest.
    ``images`` are the disks' files if they are raw. ``punches``: the host's file system can give up parts of the disks' files, so that
    discards arrive; without that free blocks are overwritten. The result says what could not be wiped and why, a line each.
    """
    shell = Shell(guestfs)
    for path in swap_files:
        swap.wipe_file(guestfs, path)
    guestfs.sync()
    devices = dict.fromkeys(places.values())
    on = {device: types.get(device) or guestfs.vfs_type(device) for device in devices}
    untrimmed = set()
    for device, fstype in on.items():
        if fstype == "btrfs" and punches:
            continue
        place = next(place for place, other in places.items() if other == device)
        if not punches or not _trimmed(guestfs, place):
            untrimmed.add(device)
            if fstype not in _EXT:
                guestfs.zero_free_space(place)
    guestfs.umount_all()
    left = []
    for device, fstype in on.items():
        if fstype == "btrfs" and punches and not _trimmed_afresh(guestfs, device):
            untrimmed.add(device)
        if device in untrimmed and fstype in _EXT:
            guestfs.zerofree(device)
        if device in untrimmed and fstype == "btrfs":
            left.append(
                f"{device}: btrfs's metadata, which only a discard reaches, may hold names and small files that were removed"
            )
        if wipe_rest := _BEYOND_FREE_BLOCKS.get(fstype):
            left += wipe_rest(guestfs, shell, device)
    for device, fstype in types.items():
        if fstype == "vfat" and device not in on:
            # An EFI system partition need not be in fstab, and boot entries on it are edited all the same.
            left += fat.wipe(guestfs, shell, device, free=True)
        if fstype == "swap":
            swap.wipe_area(shell, shell.device(device))
    for disk in sorted({found[1] for device in types if (found := _PARTITION.fullmatch(device))}):
        partitions.wipe_gaps(shell, shell.device(disk), images[ascii_lowercase.index(disk[-1])] if images else None)
    if "LVM2_member" in types.values():
        lvm.wipe_free_extents(shell)
    return left


def _trimmed_afresh(guestfs: Any, device: str) -> bool:
    """Trim btrfs from a mount of its own: the tree blocks of its last transactions are only free to it when it is mounted anew."""
    guestfs.mount(device, "/")
    try:
        return _trimmed(guestfs, "/")
    finally:
        guestfs.umount("/")


def _trimmed(guestfs: Any, place: str) -> bool:
    try:
        guestfs.fstrim(place)
    except GuestError as error:
        logger.debug("%s cannot be trimmed, its free space is overwritten: %s", place, error)
        return False
    return True
