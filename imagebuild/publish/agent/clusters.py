"""Where a qcow2 has its data, according to the specification (docs/interop/qcow2.rst of QEMU).

The file may be anybody's: no position or length in it is believed, and files that it names are not
looked at. Clusters of 64 KiB only, as in images that are published.
"""

import array
import struct
import sys
from typing import Callable, List, NamedTuple

from .codec import CLUSTER

Read = Callable[[int, int], bytes]
"""Returns the given number of bytes at an offset, or fewer."""
_MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQIIQIIQ")
_FEATURES_AT, _LENGTH_AT, _TYPE_AT = 72, 100, 104
_COMPRESSION_TYPE = 1 << 3
_ENTRIES = CLUSTER // 8
_OFFSET = (1 << 56) - (1 << 9)
_COMPRESSED = 1 << 62
_SECTORS_AT = 54
_ZERO = 1
_SECTOR = 512


class UnusableImage(Exception):
    """A file is not a qcow2 that this can read."""


class Cluster(NamedTuple):
    """A cluster of the disk, and where the file has it. If it is compressed it may end up to a sector
    earlier.
    """

    number: int
    offset: int
    length: int
    compressed: bool


class ImageLayout(NamedTuple):
    """The disk's size in bytes, the compression (``zlib`` or ``zstd``), and the clusters that have
    data, in the disk's order.
    """

    size: int
    compression: str
    clusters: List[Cluster]


def layout(read: Read, size: int, most: int) -> ImageLayout:
    """The layout of a qcow2 file of ``size`` bytes with at most ``most`` clusters of data. Raises
    UnusableImage.
    """
    head = read(0, _TYPE_AT + 1)
    if len(head) <= _TYPE_AT:
        raise UnusableImage("it is too short")
    magic, version, _, _, bits, disk, encrypted, l1_length, l1_at = _HEADER.unpack_from(head)
    (incompatible,) = struct.unpack_from(">Q", head, _FEATURES_AT)
    (header_length,) = struct.unpack_from(">I", head, _LENGTH_AT)
    if magic != _MAGIC or version != 3 or encrypted or 1 << bits != CLUSTER or incompatible & ~_COMPRESSION_TYPE:
        raise UnusableImage("it is not a qcow2 of the kind that is published")
    kind = head[_TYPE_AT] if incompatible & _COMPRESSION_TYPE and header_length > _TYPE_AT else 0
    if kind > 1:
        raise UnusableImage("its compression is unknown")
    if l1_length * 8 > size or l1_length > -(-disk // (CLUSTER * _ENTRIES)) + 1:
        raise UnusableImage("its table is too long")
    found: List[Cluster] = []
    for number, entry in enumerate(_numbers(read, l1_at, l1_length)):
        table_at = entry & _OFFSET
        if table_at:
            _add(found, number * _ENTRIES, _numbers(read, table_at, _ENTRIES), size)
        if len(found) > most:
            raise UnusableImage("it has too much data")
    return ImageLayout(disk, "zstd" if kind else "zlib", found)


def _add(found: List[Cluster], first: int, table: "array.array[int]", size: int) -> None:
    mask = (1 << _SECTORS_AT) - 1
    for number, entry in enumerate(table, first):
        if entry & _COMPRESSED:
            offset = entry & mask
            sectors = (entry >> _SECTORS_AT) & ((1 << (62 - _SECTORS_AT)) - 1)
            length = min((sectors + 1) * _SECTOR - offset % _SECTOR, size - offset)
            if length > 0:
                found.append(Cluster(number, offset, length, compressed=True))
        elif entry & _OFFSET and not entry & _ZERO:
            if (entry & _OFFSET) + CLUSTER > size:
                continue
            found.append(Cluster(number, entry & _OFFSET, CLUSTER, compressed=False))


def _numbers(read: Read, offset: int, count: int) -> "array.array[int]":
    data = read(offset, count * 8)
    if len(data) < count * 8:
        raise UnusableImage("it is cut off")
    numbers = array.array("Q")
    numbers.frombytes(data)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
