"""Writing zeros over everything on a guest's disks that is no longer referenced.

Data that a file system releases stays in its place: in free blocks, journals, unused inodes, swap
areas, LVM's free extents and between partitions. Discarding is not sufficient: anything smaller
than the disk's discard unit is left out, and each file system keeps data in other places than its
free blocks.
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
_SECTOR = 512
"""The unit of /sys/class/block/*/start, whatever the sectors of the disk."""
_EXT = ("ext2", "ext3", "ext4")
"""zerofree(8) is for these: filling them with a file of zeros would miss the blocks that ext4
reserves for itself (``s_resv_clusters``)."""
_BEYOND_FREE_BLOCKS = {"ext2": ext.wipe, "ext3": ext.wipe, "ext4": ext.wipe, "xfs": xfs.wipe, "vfat": fat.wipe}


def wipe(
    guestfs: Any,
    images: Sequence[Path],
    places: Mapping[str, str],
    types: Mapping[str, str],
    swap_files: Sequence[str] = (),
    *,
    punches: bool,
    unit: int = 0,
) -> list[str]:
    """Zero the unused space on the disks of a guest that is mounted at ``places`` (mountpoint to
    device); it is unmounted afterwards.

    ``types`` contains what is on each device of the guest, by blkid's names; ``swap_files`` are
    paths in the guest. ``images`` are the files of the disks if they are raw. ``punches`` says
    whether the host's file system can deallocate parts of these files, so that discards take
    effect; otherwise free blocks are overwritten, and so are those of a file system with blocks
    smaller than ``unit``, the bytes that the image can only discard together. The result says what
    could not be wiped and why, one line each.
    """
    shell = Shell(guestfs)
    punches = punches and not _misaligned(shell, unit)
    for path in swap_files:
        swap.wipe_file(guestfs, path)
    guestfs.sync()
    devices = dict.fromkeys(places.values())
    on = {device: types.get(device) or guestfs.vfs_type(device) for device in devices}
    untrimmed = set()
    for device, fstype in on.items():
        place = next(place for place, other in places.items() if other == device)
        whole = punches and (not unit or _block(guestfs, place) % unit == 0)
        if fstype == "btrfs" and whole:
            continue
        if not whole or not _trimmed(guestfs, place):
            untrimmed.add(device)
            if fstype not in _EXT:
                guestfs.zero_free_space(place)
    guestfs.umount_all()
    left = []
    for device, fstype in on.items():
        if fstype == "btrfs" and device not in untrimmed and not _trimmed_afresh(guestfs, device):
            untrimmed.add(device)
        if device in untrimmed and fstype in _EXT:
            guestfs.zerofree(device)
        if device in untrimmed and fstype == "btrfs":
            left.append(
                f"{device}: btrfs metadata can only be wiped by a discard, "
                "and may contain removed names and small files"
            )
        if wipe_rest := _BEYOND_FREE_BLOCKS.get(fstype):
            left += wipe_rest(guestfs, shell, device)
    return [*left, *_wiped_elsewhere(guestfs, shell, images, on, types)]


def _wiped_elsewhere(
    guestfs: Any, shell: Shell, images: Sequence[Path], on: Mapping[str, str], types: Mapping[str, str]
) -> list[str]:
    """Wipe what is in no file system that was mounted; those are ``on``."""
    left = []
    for device, fstype in types.items():
        if fstype == "vfat" and device not in on:
            # An EFI system partition may be missing from fstab, but boot entries on it are edited anyway.
            left += fat.wipe(guestfs, shell, device, free=True)
        if fstype == "swap":
            swap.wipe_area(shell, shell.device(device))
    for disk in sorted({found[1] for device in types if (found := _PARTITION.fullmatch(device))}):
        partitions.wipe_gaps(shell, shell.device(disk), images[ascii_lowercase.index(disk[-1])] if images else None)
    if "LVM2_member" in types.values():
        lvm.wipe_free_extents(shell)
    return left


def _misaligned(shell: Shell, unit: int) -> bool:
    """Whether a partition does not start at a multiple of ``unit`` bytes."""
    starts = shell.line("cat /sys/class/block/*/start 2>/dev/null || :").split() if unit else []
    return any(int(start) * _SECTOR % unit for start in starts)


def _block(guestfs: Any, place: str) -> int:
    """Bytes of a block of the file system at ``place``."""
    return int(guestfs.statvfs(place)["frsize"])


def _trimmed_afresh(guestfs: Any, device: str) -> bool:
    """Trim a btrfs after mounting it again: the tree blocks of its last transactions count as free
    only after a new mount."""
    guestfs.mount(device, "/")
    try:
        return _trimmed(guestfs, "/")
    finally:
        guestfs.umount("/")


def _trimmed(guestfs: Any, place: str) -> bool:
    try:
        guestfs.fstrim(place)
    except GuestError as error:
        logger.debug("%s cannot be trimmed, so its free space is overwritten: %s", place, error)
        return False
    return True
