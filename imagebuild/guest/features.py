"""File system features that a kernel does not know, from the messages with which it refuses them.
Pure functions."""

from __future__ import annotations

import re

_SPEAKERS = re.compile(
    r"^(?:\[[^\]]*\] "
    r"*)?(?:XFS|EXT[234]-fs|BTRFS|F2FS-fs|FAT-fs|JFS|NILFS|REISERFS|bcachefs|SQUASHFS|erofs)\b[^:]*: *(.+)$"
)
_LAST = 40
"""How many of the last kernel messages may belong to a mount that has just failed."""
_FEATURES = re.compile(r"un(?:known|supported|recognized)[^(]*features? *\((?:0x)?([0-9a-f]+)\)", re.IGNORECASE)
_READ_ONLY = re.compile(r"read-only|ro_?compat|compat_?ro|RDWR|read-write", re.IGNORECASE)
_NAMES: dict[str, dict[int, str]] = {
    # fs/xfs/libxfs/xfs_format.h
    "xfs": {
        0x1: "ftype", 0x2: "sparse inodes", 0x4: "metadata UUID", 0x8: "bigtime", 0x10: "needs repair", 0x20: "nrext64",
        0x40: "exchange-range", 0x80: "parent pointers", 0x100: "metadata directory", 0x200: "zoned",
        0x400: "zone gaps",
    },
    # fs/ext4/ext4.h
    "ext4": {
        0x1: "compression", 0x8: "journal device", 0x100: "mmp", 0x400: "ea_inode", 0x1000: "dirdata",
        0x2000: "metadata_csum_seed",
        0x4000: "large_dir", 0x8000: "inline_data", 0x10000: "encrypt", 0x20000: "casefold",
    },
    # include/uapi/linux/btrfs.h
    "btrfs": {
        0x80: "raid56", 0x100: "skinny metadata", 0x200: "no holes", 0x400: "metadata UUID", 0x800: "raid1c34",
        0x1000: "zoned",
        0x2000: "extent tree v2", 0x4000: "raid stripe tree", 0x10000: "simple quota",
    },
}  # fmt: skip
"""Names of the incompatible features."""


def kernels_words(log: str) -> list[str]:
    """The messages of file systems in the last lines of a kernel log, oldest first."""
    return [found[1].strip() for line in log.splitlines()[-_LAST:] if (found := _SPEAKERS.match(line))]


def unknown(fstype: str, words: list[str]) -> str:
    """The unknown features, such as ``0xc0 (exchange-range, parent pointers)``; empty if the
    messages are about something else."""
    for word in reversed(words):
        if found := _FEATURES.search(word):
            bits = int(found[1], 16)
            table = {} if _READ_ONLY.search(word) else _NAMES.get("ext4" if fstype.startswith("ext") else fstype, {})
            names = [table[1 << at] for at in range(bits.bit_length()) if bits >> at & 1 and 1 << at in table]
            return f"{bits:#x} ({', '.join(names)})" if names else f"{bits:#x}"
    return ""
