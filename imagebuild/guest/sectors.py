"""The sector size of a disk image: its partition table is in units of it, and a raw image contains
no other information about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.image import qemu_img

if TYPE_CHECKING:
    from pathlib import Path

    from imagebuild.image.disk_image import Format

_GPT = b"EFI PART"
_GUARDS_GPT = 0xEE
_EXTENDED = (0x05, 0x0F, 0x85)
_SUPERBLOCKS = (
    (0x438, b"\x53\xef"),  # ext2 to ext4
    (0, b"XFSB"),
    (0x10040, b"_BHRfS_M"),  # btrfs
    (512, b"LABELONE"),  # LVM
    (0, b"LUKS\xba\xbe"),
    (0x52, b"FAT32"),
    (0x36, b"FAT1"),
    (4086, b"SWAPSPACE2"),
)
_FAR = 0x10048


def sector_size(disk: Path, fmt: Format) -> int:
    """4096 if the partition table on ``disk`` makes sense only with such sectors; otherwise 512.

    A GPT has its header in the second sector. An MBR has no such mark: file systems are searched
    for at the places it contains.
    """
    head = qemu_img.read(disk, fmt, 0, 4096 + 512)
    if head[512:520] == _GPT:
        return 512
    if head[4096:4104] == _GPT:
        return 4096
    return 4096 if _mbr_of_large_sectors(disk, fmt, head[:512]) else 512


def _mbr_of_large_sectors(disk: Path, fmt: Format, mbr: bytes) -> bool:
    if mbr[510:512] != b"\x55\xaa":
        return False
    entries = [mbr[at : at + 16] for at in range(446, 510, 16)]
    if any(entry[0] not in (0, 0x80) for entry in entries):
        return False  # a boot sector of a file system on the whole disk
    kinds = {entry[4] for entry in entries}
    if _GUARDS_GPT in kinds:
        return False
    starts = [int.from_bytes(entry[8:12], "little") for entry in entries if entry[4] not in (0, *_EXTENDED)]
    found = [size for start in starts if start for size in (512, 4096) if _has_superblock(disk, fmt, start * size)]
    return bool(found) and set(found) == {4096}


def _has_superblock(disk: Path, fmt: Format, place: int) -> bool:
    content = qemu_img.read(disk, fmt, place, _FAR)
    return any(content[at : at + len(magic)] == magic for at, magic in _SUPERBLOCKS)
