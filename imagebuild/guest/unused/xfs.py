"""xfs apart from its free blocks: the log, which contains copies of folders and inodes, and free
inodes among used ones, which contain short links, folders and attributes.

The layout is that of "XFS Algorithms & Data Structures" (the kernel's documentation of xfs); the
locations of inodes come from xfs_db(8).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from imagebuild.errors import GuestError
from imagebuild.guest.shell import Shell
from imagebuild.guest.unused.zeros import write

_FIELDS = ("blocksize", "agblocks", "agcount", "agblklog", "inopblog", "inodesize", "ifree", "lsn", "versionnum")
_CYCLES = 4
"""The distance of the new log's cycle from the last one in the superblock: nothing on the disk may
be newer than the log."""
_MAGIC = b"IN"
_CHECKSUM = slice(100, 104)
_CORE = {1: 100, 2: 100, 3: 176}
"""The offset of the forks of an inode, by its version: after its fixed part."""


@dataclass(frozen=True)
class Geometry:
    """The required fields of the superblock; ``lsn`` is the log position of its last change, with
    the cycle in the upper half."""

    blocksize: int
    agblocks: int
    agcount: int
    agblklog: int
    inopblog: int
    inodesize: int
    ifree: int
    lsn: int
    versionnum: int

    def place(self, ag: int, inode: int) -> int:
        """The position of an inode, numbered within its allocation group, on the device, in bytes."""
        block = inode >> self.inopblog
        return (ag * self.agblocks + block) * self.blocksize + (inode & ((1 << self.inopblog) - 1)) * self.inodesize


def wipe(guestfs: Any, shell: Shell, device: str) -> list[str]:
    """Empty the log and the free inodes of an unmounted file system. Returns what was left, and
    why."""
    name = shell.device(device)
    fields = [word for field in _FIELDS for word in ("-c", f"p {field}")]
    geometry = parsed(shell.run(("xfs_db", "-r", "-c", "sb 0", *fields, name)))
    cycle = (geometry.lsn >> 32) + _CYCLES
    shell.run(("xfs_db", "-x", "-c", f"logformat -c {cycle}", name))
    pieces: list[tuple[int, bytes]] = []
    for ag in range(geometry.agcount) if geometry.ifree else ():
        dump = shell.run(("xfs_db", "-r", "-c", f"agi {ag}", "-c", "addr root", "-c", "btdump", name))
        pieces += _emptied_blocks(guestfs, device, geometry, ag, free_inodes(dump))
    write(guestfs, shell, name, pieces)
    return []


def _emptied_blocks(
    guestfs: Any, device: str, geometry: Geometry, ag: int, free: list[int]
) -> Iterator[tuple[int, bytes]]:
    """The blocks with inodes that change when the free inodes of an allocation group are emptied,
    with their positions."""
    for _, inodes in groupby(
        free, lambda inode: inode >> 6
    ):  # a chunk: they are consecutive, except for holes in sparse ones
        places = [geometry.place(ag, inode) for inode in inodes]
        start, end = places[0], places[-1] + geometry.inodesize
        old = guestfs.pread_device(device, end - start, start)
        new = bytearray(old)
        for place in places:
            at = slice(place - start, place - start + geometry.inodesize)
            new[at] = emptied(old[at])
        if new != old:
            yield start, bytes(new)


def emptied(inode: bytes) -> bytes:
    """A free inode without the data after its fixed part; the same bytes if it is not an inode, or
    in use."""
    version = inode[4]
    if not inode.startswith(_MAGIC) or version not in _CORE or inode[2:4] != b"\0\0":
        return inode
    new = bytearray(inode[: _CORE[version]] + bytes(len(inode) - _CORE[version]))
    if version == 3:
        new[_CHECKSUM] = bytes(4)
        new[_CHECKSUM] = struct.pack("<I", crc32c(bytes(new)))
    return bytes(new)


def free_inodes(dump: str) -> list[int]:
    """The free inodes, numbered within their allocation group, from xfs_db's dump of the inode
    tree.

    A record is ``[startino,freecount,free]`` or, with sparse chunks,
    ``[startino,holemask,count,freecount,free]``: 64 inodes and a mask of those that are free. A bit
    of the hole mask represents four inodes that do not exist.
    """
    found = []
    for record in re.findall(r"\[((?:0x)?[0-9a-f]+(?:,(?:0x)?[0-9a-f]+){2,4})\]", dump):
        fields = record.split(",")
        if len(fields) not in (3, 5):
            continue
        start, free = int(fields[0]), int(fields[-1], 16)
        holes = int(fields[1], 16) if len(fields) == 5 else 0
        found += [start + n for n in range(64) if free >> n & 1 and not holes >> (n // 4) & 1]
    return found


def parsed(printed: str) -> Geometry:
    """The fields of the superblock from the output of xfs_db. GuestError if any is missing."""
    known = {name: int(value, 0) for name, value in re.findall(r"^(\w+) = (0x[0-9a-f]+|\d+)$", printed, re.MULTILINE)}
    known.setdefault("lsn", 0)
    try:
        return Geometry(**{field: known[field] for field in _FIELDS})
    except KeyError as error:
        raise GuestError(f"xfs_db does not print the superblock's {error}") from error


def crc32c(data: bytes) -> int:
    """The checksum of xfs metadata (Castagnoli's polynomial, reflected)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _table() -> tuple[int, ...]:
    rows = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
        rows.append(number)
    return tuple(rows)


_TABLE = _table()
