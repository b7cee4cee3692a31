"""Zero what is unused on the disks, and give it back to the image.

What was removed is then not in the image's bytes either: free blocks of every mounted file system, whatever their size; the journals of ext3,
ext4 and xfs and their free inodes; names of removed files and ends of clusters on FAT, mounted or not; swap areas and swap files; LVM's free
extents; and what is between and behind partitions. What is encrypted lets discards through for it, so the image shows which of its blocks
are in use. Runs after all other operations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SEAL
Params = NoParams


def apply(guest: Guest, params: NoParams) -> None:
    for reason in guest.wipe_unused():
        guest.not_done("/", f"what was removed is not gone from all of the disk: {reason}")
