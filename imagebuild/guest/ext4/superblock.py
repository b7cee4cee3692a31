"""The superblock and the group descriptors of an ext4."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
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
_LARGEST_BLOCK = 4096
_MOST_GROUPS = 1 << 20
_INODES_UNUSED = 0x1


class UnsupportedExt4Error(Exception):
    """The file system has something that is not known here, or is damaged."""


@dataclass(frozen=True)
class Superblock:
    """Sizes are in bytes; ``descriptors`` is where the group descriptors are."""

    block: int
    inode: int
    inodes: int
    per_group: int
    groups: int
    descriptor: int
    descriptors: int
    huge_files: bool


def superblock(read: Read) -> Superblock:
    """The fields that are needed. UnsupportedExt4Error if this is no clean ext4, or one with unknown features."""
    head = read(_PLACE, _LENGTH)
    if len(head) < _LENGTH or struct.unpack_from("<H", head, 0x38)[0] != _MAGIC:
        raise UnsupportedExt4Error("no ext4")
    compatible, incompatible, read_only = struct.unpack_from("<III", head, 0x5C)
    if compatible & ~_COMPATIBLE or incompatible & ~_INCOMPATIBLE or read_only & ~_READ_ONLY:
        raise UnsupportedExt4Error(f"features {compatible:x} {incompatible:x} {read_only:x}")
    if not incompatible & _FILETYPE or not incompatible & _EXTENTS:
        raise UnsupportedExt4Error("no ext4")
    if struct.unpack_from("<H", head, 0x3A)[0] != _CLEAN:
        raise UnsupportedExt4Error("not clean")
    inodes, blocks, first = (struct.unpack_from("<I", head, at)[0] for at in (0, 4, 20))
    block = 1024 << min(struct.unpack_from("<I", head, 24)[0], 16)
    per_group, blocks_per_group, inode = (
        struct.unpack_from(form, head, at)[0] for form, at in (("<I", 40), ("<I", 32), ("<H", 88))
    )
    descriptor = struct.unpack_from("<H", head, 0xFE)[0] if incompatible & _64BIT else 32
    if incompatible & _64BIT:
        blocks |= struct.unpack_from("<I", head, 0x150)[0] << 32
    if block > _LARGEST_BLOCK or inode < 128 or inode > block or not per_group or not blocks_per_group:
        raise UnsupportedExt4Error("unusual sizes")
    groups = -(-(blocks - first) // blocks_per_group)
    if descriptor not in (32, 64) or not 0 < groups <= _MOST_GROUPS or inodes != groups * per_group:
        raise UnsupportedExt4Error("unusual sizes")
    return Superblock(
        block, inode, inodes, per_group, groups, descriptor, (first + 1) * block, bool(read_only & HUGE_FILE)
    )


def tables(read: Read, found: Superblock) -> Iterator[tuple[int, int]]:
    """Of each group in turn: the place of its inode table, and the number of inodes that may be in use."""
    content = read(found.descriptors, found.groups * found.descriptor)
    for at in range(0, found.groups * found.descriptor, found.descriptor):
        place, flags = struct.unpack_from("<I", content, at + 8)[0], struct.unpack_from("<H", content, at + 18)[0]
        unused = struct.unpack_from("<H", content, at + 28)[0]
        if found.descriptor == 64:
            place |= struct.unpack_from("<I", content, at + 40)[0] << 32
            unused |= struct.unpack_from("<H", content, at + 50)[0] << 16
        used = 0 if flags & _INODES_UNUSED else found.per_group - min(unused, found.per_group)
        yield place * found.block, used
