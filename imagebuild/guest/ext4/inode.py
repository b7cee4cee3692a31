"""Inodes: their fields, where their data is, and their extended attributes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from imagebuild.guest.ext4.superblock import Read, Superblock, UnsupportedExt4Error

_FIELDS = struct.Struct("<HHI16xHHII4x60s4xII4xHHHH")
_EXTENTS, _HUGE = 0x80000, 0x40000
_UNKNOWN = 0x4 | 0x800 | 0x100000 | 0x200000 | 0x10000000 | 0x40000000
"""Inode flags: compressed, encrypted, verity, with an attribute in an inode, inline data, names folded."""
_EXTENT_MAGIC, _DEEPEST = 0xF30A, 5
_ATTRIBUTE_MAGIC = 0xEA020000
_UNWRITTEN = 1 << 15
_MOST_NODES = 100_000
_SECTOR = 512
_OLD_SIZE = 128
_SHORT_LINK = 60
KINDS = {0x1: "p", 0x2: "c", 0x4: "d", 0x6: "b", 0x8: "f", 0xA: "l", 0xC: "s"}
"""find's letters by the upper bits of the mode."""


@dataclass(frozen=True)
class Inode:
    """``kind`` is find's letter, ``blocks`` is in units of 512 bytes, ``place`` is the 60 bytes that say
    where the data is, and ``rest`` what follows the fields, with attributes.
    """

    number: int
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    links: int
    blocks: int
    flags: int
    attributes: int
    place: bytes
    rest: bytes


def parsed(number: int, data: bytes, sizes: Superblock) -> Inode:
    """The inode in the bytes of a table."""
    (
        mode, uid, size, gid, links, blocks, flags, place, acl, size_high, blocks_high, acl_high, uid_high, gid_high,
    ) = _FIELDS.unpack_from(data)  # fmt: skip
    kind = KINDS.get(mode >> 12)
    if kind is None or flags & _UNKNOWN or (kind in "fd" and not flags & _EXTENTS):
        raise UnsupportedExt4Error(f"inode {number} with mode {mode:o} and flags {flags:x}")
    sectors = blocks | (blocks_high << 32 if sizes.huge_files else 0)
    if flags & _HUGE and sizes.huge_files:
        sectors *= sizes.block // _SECTOR
    end = _OLD_SIZE + (struct.unpack_from("<H", data, _OLD_SIZE)[0] if sizes.inode > _OLD_SIZE else 0)
    return Inode(
        number, kind, mode & 0o7777, uid | uid_high << 16, gid | gid_high << 16,
        size | (size_high << 32 if kind == "f" else 0), links, sectors, flags, acl | acl_high << 32, place, data[end:],
    )  # fmt: skip


def target(inode: Inode, read: Read, sizes: Superblock) -> bytes:
    """What a symbolic link contains."""
    own = inode.blocks - (sizes.block // _SECTOR if inode.attributes else 0)
    if own == 0 and inode.size < _SHORT_LINK:
        return inode.place[: inode.size]
    if inode.size > sizes.block or not inode.flags & _EXTENTS:
        raise UnsupportedExt4Error(f"link {inode.number}")
    return b"".join(content(inode, read, sizes))[: inode.size]


def content(inode: Inode, read: Read, sizes: Superblock, piece: int = 1 << 20) -> Iterator[bytes]:
    """The data of a file or a folder in pieces of at most ``piece`` bytes, zeros where nothing is stored."""
    at = 0
    for logical, count, physical in sorted(extents(inode, read, sizes)):
        begin = logical * sizes.block
        if begin < at:
            raise UnsupportedExt4Error(f"inode {inode.number} has overlapping extents")
        yield from _zeros(min(begin, inode.size) - at, piece)
        end = min(begin + count * sizes.block, inode.size)
        for first in range(begin, end, piece):
            length = min(piece, end - first)
            yield read(physical * sizes.block + first - begin, length) if physical else bytes(length)
        at = max(end, min(begin, inode.size))
    yield from _zeros(inode.size - at, piece)


def extents(inode: Inode, read: Read, sizes: Superblock) -> Iterator[tuple[int, int, int]]:
    """Logical block, number of blocks and physical block; the last is 0 for what was never written."""
    if not inode.flags & _EXTENTS:
        raise UnsupportedExt4Error(f"inode {inode.number} has no extents")
    left = iter(range(_MOST_NODES))
    return _extents(inode.place, lambda at: _node(at, left, read, sizes))


def _node(block: int, left: Iterator[int], read: Read, sizes: Superblock) -> bytes:
    """A block with extents, of which there are only so many: a malicious tree may lead to itself."""
    if next(left, None) is None:
        raise UnsupportedExt4Error("very many extents")
    return read(block * sizes.block, sizes.block)


def _zeros(length: int, piece: int) -> Iterator[bytes]:
    for at in range(0, length, piece):
        yield bytes(min(piece, length - at))


def _extents(node: bytes, below: Callable[[int], bytes], depth: int | None = None) -> Iterator[tuple[int, int, int]]:
    magic, entries, _, found = struct.unpack_from("<HHHH", node)
    if magic != _EXTENT_MAGIC or found > _DEEPEST or (depth is not None and found != depth):
        raise UnsupportedExt4Error("damaged extents")
    if 12 + 12 * entries > len(node):
        raise UnsupportedExt4Error("damaged extents")
    for at in range(12, 12 + 12 * entries, 12):
        if found:
            low, high = struct.unpack_from("<IH", node, at + 4)
            yield from _extents(below(low | high << 32), below, found - 1)
            continue
        logical, length, high, low = struct.unpack_from("<IHHI", node, at)
        if length > _UNWRITTEN:
            yield logical, length - _UNWRITTEN, 0
        else:
            yield logical, length, low | high << 32


def attribute(inode: Inode, index: int, name: bytes, read: Read, sizes: Superblock) -> bytes | None:
    """The value of an extended attribute; ``index`` stands for the first part of its name."""
    if len(inode.rest) >= 4 and struct.unpack_from("<I", inode.rest)[0] == _ATTRIBUTE_MAGIC:
        found = _attribute(inode.rest, 4, 4, index, name)
        if found is not None:
            return found
    if inode.attributes:
        block = read(inode.attributes * sizes.block, sizes.block)
        if struct.unpack_from("<I", block)[0] != _ATTRIBUTE_MAGIC:
            raise UnsupportedExt4Error("damaged attributes")
        return _attribute(block, 32, 0, index, name)
    return None


def _attribute(data: bytes, at: int, base: int, index: int, name: bytes) -> bytes | None:
    while at + 16 <= len(data) and data[at : at + 4] != bytes(4):
        length, kind, offset, elsewhere, size = struct.unpack_from("<BBHII", data, at)
        if kind == index and data[at + 16 : at + 16 + length] == name:
            if elsewhere or base + offset + size > len(data):
                raise UnsupportedExt4Error("an attribute that is stored elsewhere")
            return data[base + offset : base + offset + size]
        at += (16 + length + 3) & ~3
    return None
