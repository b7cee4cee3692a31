"""Zeros in place of everything on a guest's disks that nothing refers to any more.

What a file system gives up keeps its bytes: in free blocks, in journals, in inodes that nobody uses, in swap areas, in LVM's free
extents and between partitions. A discard alone is no answer: what is smaller than the disk's unit of it is left out, and each file
system remembers more than its free blocks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from imagebuild.errors import GuestError
from imagebuild.guest.shell import Shell
from imagebuild.guest.unused import encrypted, ext, lvm, partitions, swap, xfs
from imagebuild.log import logger

DISCARDS = ("-global", "scsi-hd.discard_granularity=512")
"""QEMU's arguments that let a guest discard single sectors; its default unit is 4 KiB, so a free block of 1 KiB stays."""

_BEYOND_FREE_BLOCKS = {"ext2": ext.wipe, "ext3": ext.wipe, "ext4": ext.wipe, "xfs": xfs.wipe}


def wipe(guestfs: Any, places: Mapping[str, str], swap_files: list[str], *, punches: bool) -> list[str]:
    """Zero what is unused on the disks of a guest that is mounted at ``places`` (mountpoint to device); it is unmounted afterwards.

    ``swap_files`` are paths in the guest. ``punches``: the host's file system can give up parts of the disks' files, so that discards
    arrive; without that free blocks are overwritten. The result says what could not be wiped and why, a line each.
    """
    shell = Shell(guestfs)
    for path in swap_files:
        swap.wipe_file(guestfs, path)
    guestfs.sync()
    devices = dict.fromkeys(places.values())
    encrypted.allow_discards(shell, devices)
    for device in devices:
        place = next(place for place, other in places.items() if other == device)
        if not punches or not _trimmed(guestfs, place):
            guestfs.zero_free_space(place)
            guestfs.sync()
    guestfs.umount_all()
    types = _types(shell)
    left = []
    mounted = {shell.device(device): device for device in devices}
    for name, (kind, fstype) in types.items():
        if name in mounted and (wipe_rest := _BEYOND_FREE_BLOCKS.get(fstype)):
            left += wipe_rest(guestfs, shell, mounted[name])
        elif fstype == "swap":
            swap.wipe_area(shell, name)
        elif kind == "disk" and not fstype:
            partitions.wipe_gaps(shell, name)
    if any(fstype == "LVM2_member" for _, fstype in types.values()):
        lvm.wipe_free_extents(shell)
    return left


def _types(shell: Shell) -> dict[str, tuple[str, str]]:
    """The kernel's name of every block device, with what it is (``disk``, ``part``, ``lvm``) and the type of file system or the like on it.

    The appliance's own disk is among them, and as it is mounted it is not touched: it has a file system, and is no disk of the guest.
    """
    listed = json.loads(
        shell.run(("udevadm", "settle"), ("lsblk", "--json", "--list", "--paths", "-o", "NAME,TYPE,FSTYPE"))
    )
    return {one["name"]: (one["type"], one["fstype"] or "") for one in listed["blockdevices"]}


def _trimmed(guestfs: Any, place: str) -> bool:
    try:
        guestfs.fstrim(place)
    except GuestError as error:
        logger.debug("%s cannot be trimmed, its free space is overwritten: %s", place, error)
        return False
    return True
