"""What is not in use in an ext4 that was unmounted cleanly: free blocks, the journal, and free inodes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from imagebuild.guest.ext4 import inode, superblock
from imagebuild.guest.ext4.superblock import Group, Read, Superblock, UnsupportedExt4Error
from imagebuild.guest.ext4.tree import Ext4Tree

Range = tuple[int, int]
"""Offset and length in bytes."""
_ZEROS = re.compile("0+")


def unused(read: Read) -> list[Range]:
    """The unused ranges, whole blocks, in order. The first block of the journal is in use.

    Raises UnsupportedExt4Error if anything is not as it must be.
    """
    read = superblock.whole(read)
    sizes = superblock.superblock(read)
    groups = superblock.groups(read, sizes)
    blocks = [one for group in groups for one in _free_blocks(read, sizes, group, groups)]
    if sum(count for _, count in blocks) != sizes.free_blocks:
        raise UnsupportedExt4Error("the numbers of free blocks differ")
    blocks += _journal(read, sizes)
    blocks += [one for group in groups for one in _fresh_inodes(sizes, group)]
    return [(at * sizes.block, count * sizes.block) for at, count in _merged(blocks)]


def _merged(ranges: Iterable[Range]) -> Iterator[Range]:
    """Ranges in order, those that touch each other as one. UnsupportedExt4Error if any overlap."""
    start = end = -1
    for at, count in sorted(ranges):
        if at < end:
            raise UnsupportedExt4Error("a block is free twice")
        if at > end:
            if start < end:
                yield start, end - start
            start = at
        end = at + count
    if start < end:
        yield start, end - start


def _free_blocks(read: Read, sizes: Superblock, group: Group, groups: Sequence[Group]) -> list[Range]:
    """First block and number of blocks of each free range of a group."""
    start = sizes.first + group.number * sizes.blocks_per_group
    length = min(sizes.blocks_per_group, sizes.blocks - start)
    if group.fresh:
        bits = ["0"] * length
        for at, count in _metadata(sizes, groups):
            for taken in range(max(at, start), min(at + count, start + length)):
                bits[taken - start] = "1"
        text = "".join(bits)
    else:
        text = _bits(read(group.block_bitmap * sizes.block, sizes.block), length)
    if text.count("0") != group.free_blocks:
        raise UnsupportedExt4Error(f"group {group.number} has another number of free blocks")
    return [(start + found.start(), len(found[0])) for found in _ZEROS.finditer(text)]


def _bits(bitmap: bytes, length: int) -> str:
    """The first bits of a bitmap, as digits."""
    if len(bitmap) * 8 < length:
        raise UnsupportedExt4Error("a bitmap is too short")
    return format(int.from_bytes(bitmap, "little"), f"0{len(bitmap) * 8}b")[::-1][:length]


def _metadata(sizes: Superblock, groups: Sequence[Group]) -> Iterator[Range]:
    """Blocks that are in use even in a group of which nothing was ever used."""
    table = -(-sizes.per_group * sizes.inode // sizes.block)
    for group in groups:
        yield group.block_bitmap, 1
        yield group.inode_bitmap, 1
        yield group.table, table
        if not sizes.sparse or _has_superblock(group.number):
            yield sizes.first + group.number * sizes.blocks_per_group, 1 + sizes.table_blocks


def _has_superblock(number: int) -> bool:
    """Groups 0 and 1, and those whose numbers are powers of 3, 5 or 7."""
    for base in (3, 5, 7):
        power = base
        while power < number:
            power *= base
        if power == number:
            return True
    return number < 2


def _journal(read: Read, sizes: Superblock) -> list[Range]:
    if not sizes.journal:
        return []
    found = sorted(inode.extents(Ext4Tree(read).inode(sizes.journal), read, sizes))
    if not found or found[0][0] != 0 or any(not at for _, _, at in found):
        raise UnsupportedExt4Error("an unusual journal")
    (_, count, first), *rest = found
    return [(first + 1, count - 1), *((at, count) for _, count, at in rest)] if count > 1 else []


def _fresh_inodes(sizes: Superblock, group: Group) -> list[Range]:
    """The whole blocks at the end of a group's table that are not in use. The flag that says that they are zeros is
    not enough: e2fsck(8) counts inodes that were removed among those that were never used."""
    begin = -(-group.inodes * sizes.inode // sizes.block)
    end = sizes.per_group * sizes.inode // sizes.block
    return [] if begin >= end else [(group.table + begin, end - begin)]


def emptied_tables(read: Read) -> Iterator[tuple[int, bytes]]:
    """Blocks of the inode tables with zeros in place of the free inodes, by their offsets: those that this changes."""
    read = superblock.whole(read)
    sizes = superblock.superblock(read)
    per_block = sizes.block // sizes.inode
    for group in superblock.groups(read, sizes):
        if not group.inodes:
            continue
        count = min(-(-group.inodes // per_block) * per_block, sizes.per_group)
        free = _bits(read(group.inode_bitmap * sizes.block, sizes.block), count)
        table = read(group.table * sizes.block, count * sizes.inode)
        touched = sorted({at // per_block for at, bit in enumerate(free) if bit == "0"})
        for number in touched:
            old = table[number * sizes.block : (number + 1) * sizes.block]
            new = bytearray(old)
            for at in range(number * per_block, min((number + 1) * per_block, count)):
                if free[at] == "0":
                    place = (at - number * per_block) * sizes.inode
                    new[place : place + sizes.inode] = bytes(sizes.inode)
            if new != old:
                yield group.table * sizes.block + number * sizes.block, bytes(new)
