"""Zero unused space on the disks, and discard it from the image.

Removed data is then no longer in the image's bytes either. This covers the free blocks of every
mounted file system, whatever their size; the journals and free inodes of ext3, ext4 and xfs; the
names of removed files and the ends of clusters on FAT, mounted or not; swap areas and swap files;
LVM's free extents; and the gaps between and after partitions. Discards are passed through
encryption, so the image shows which of the encrypted blocks are in use. Runs after all other
operations.
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
        guest.not_done("/", f"removed data may still be on the disk: {reason}")
