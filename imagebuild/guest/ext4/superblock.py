"""The superblock and the group descriptors of an ext4."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

Read = Callable[[int, int], bytes]
"""Reads a number of bytes at an offset of the file system."""
_PLACE, _LENGTH = 1024, 1024
_MAGIC = 0xEF53
_CLEAN = 1
_COMPATIBLE = 0x4 | 0x8 | 0x10 | 0x20 | 0x1000
"""has_journal, ext_attr, resize_inode, dir_index, orphan_file."""
_FILETYPE, _EXTENTS, _64BIT = 0x2, 0x40, 0x80
_INCOMPATIBLE = _FILETYPE | _EXTENTS | _64BIT | 0x200 | 0x2000
"""Also flex_bg and csum_seed; not needs_recovery, whose journal has to be replayed first."""
_READ_ONLY = 0x1 | 0x2 | 0x8 | 0x10 | 0x20 | 0x40 | 0x400
"""sparse_super, large_file, huge_file, gdt_csum, dir_nlink, extra_isize, metadata_csum."""
HUGE_FILE = 0x8
_SPARSE, _HAS_JOURNAL = 0x1, 0x4
_NEEDS_RECOVERY = 0x4
_LARGEST_BLOCK = 4096
_MOST_GROUPS = 1 << 20
_NO_INODES, _NO_BLOCKS = 0x1, 0x2
"""Flags of a group: nothing in it was ever used."""


class UnsupportedExt4Error(Exception):
    """The file system has something that is not known here, or is damaged."""


def whole(read: Read) -> Read:
    """``read``, with an UnsupportedExt4Error for what is not completely there."""

    def checked(at: int, length: int) -> bytes:
        found = read(at, length)
        if len(found) != length:
            raise UnsupportedExt4Error("a block is not on the disk")
        return found

    return checked


@dataclass(frozen=True)
class Superblock:
    """Sizes are in bytes; ``per_group`` is about inodes, ``first`` is the first block of the first group.
    ``table_blocks`` are the blocks of the group descriptors and those reserved for more of them, which follow
    each copy of the superblock. ``journal`` is the journal's inode; 0 if there is none.
    """

    block: int
    inode: int
    inodes: int
    per_group: int
    groups: int
    descriptor: int
    huge_files: bool
    blocks: int
    free_blocks: int
    first: int
    blocks_per_group: int
    table_blocks: int
    sparse: bool
    journal: int

    @property
    def descriptors(self) -> int:
        """Where the group descriptors are."""
        return (self.first + 1) * self.block


def superblock(read: Read, *, in_use: bool = False) -> Superblock:
    """The fields that are needed. UnsupportedExt4Error if this is no clean ext4, or one with unknown features; it may
    be ``in_use``, with a journal that has to be replayed first."""
    head = whole(read)(_PLACE, _LENGTH)
    if struct.unpack_from("<H", head, 0x38)[0] != _MAGIC:
        raise UnsupportedExt4Error("no ext4")
    known = _INCOMPATIBLE | (_NEEDS_RECOVERY if in_use else 0)
    compatible, incompatible, read_only = struct.unpack_from("<III", head, 0x5C)
    if compatible & ~_COMPATIBLE or incompatible & ~known or read_only & ~_READ_ONLY:
        raise UnsupportedExt4Error(f"features {compatible:x} {incompatible:x} {read_only:x}")
    if not incompatible & _FILETYPE or not incompatible & _EXTENTS:
        raise UnsupportedExt4Error("no ext4")
    if struct.unpack_from("<H", head, 0x3A)[0] != _CLEAN:
        raise UnsupportedExt4Error("not clean")
    inodes, blocks, free, first = (struct.unpack_from("<I", head, at)[0] for at in (0, 4, 12, 20))
    block = 1024 << min(struct.unpack_from("<I", head, 24)[0], 16)
    per_group, blocks_per_group, inode = (
        struct.unpack_from(form, head, at)[0] for form, at in (("<I", 40), ("<I", 32), ("<H", 88))
    )
    descriptor = struct.unpack_from("<H", head, 0xFE)[0] if incompatible & _64BIT else 32
    if incompatible & _64BIT:
        blocks |= struct.unpack_from("<I", head, 0x150)[0] << 32
        free |= struct.unpack_from("<I", head, 0x158)[0] << 32
    if block > _LARGEST_BLOCK or inode < 128 or inode > block or not per_group or not blocks_per_group:
        raise UnsupportedExt4Error("unusual sizes")
    groups = -(-(blocks - first) // blocks_per_group)
    if descriptor not in (32, 64) or not 0 < groups <= _MOST_GROUPS or inodes != groups * per_group:
        raise UnsupportedExt4Error("unusual sizes")
    journal, elsewhere = struct.unpack_from("<II", head, 0xE0)
    if elsewhere:
        raise UnsupportedExt4Error("a journal on another device")
    return Superblock(
        block, inode, inodes, per_group, groups, descriptor, bool(read_only & HUGE_FILE), blocks, free, first,
        blocks_per_group, -(-groups * descriptor // block) + struct.unpack_from("<H", head, 0xCE)[0],
        bool(read_only & _SPARSE), journal if compatible & _HAS_JOURNAL else 0,
    )  # fmt: skip


@dataclass(frozen=True)
class Group:
    """Blocks are numbered from the start of the file system. ``inodes`` is how many of them may be in use;
    ``fresh`` says that none of its blocks was ever used.
    """

    number: int
    block_bitmap: int
    inode_bitmap: int
    table: int
    free_blocks: int
    inodes: int
    fresh: bool


def groups(read: Read, found: Superblock) -> list[Group]:
    """The groups, as their descriptors say."""
    content = whole(read)(found.descriptors, found.groups * found.descriptor)
    return [_group(number, content, found) for number in range(found.groups)]


def _group(number: int, content: bytes, found: Superblock) -> Group:
    at = number * found.descriptor
    blocks, inodes, table, free, _, _, flags, _, _, unused = struct.unpack_from("<IIIHHHHQHH", content, at)
    unused = struct.unpack_from("<H", content, at + 28)[0]
    if found.descriptor == 64:
        high = struct.unpack_from("<IIIHHHH", content, at + 32)
        blocks, inodes, table = blocks | high[0] << 32, inodes | high[1] << 32, table | high[2] << 32
        free, unused = free | high[3] << 16, unused | high[6] << 16
    used = 0 if flags & _NO_INODES else found.per_group - min(unused, found.per_group)
    return Group(number, blocks, inodes, table, free, used, bool(flags & _NO_BLOCKS))
