"""Writes a qcow2 of compressed clusters, according to the specification (docs/interop/qcow2.rst of
QEMU).

    header, data clusters, L2 tables, L1 table, refcount blocks, refcount table

Compressed clusters follow each other without gaps. A cluster that compression does not make smaller
is stored uncompressed; such clusters start at a multiple of the cluster size, so several are
collected and written together.

The header at the front contains the positions of the tables, which are known only at the end, but
SHA-256 runs from front to back. So the digest is computed last, from pages that are still in
memory.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

import zstandard

from imagebuild.files import sha256
from imagebuild.image.formats import CLUSTER, Compression, clusters, created

ZSTD_LEVEL = 2
"""The same bytes from every zstd of 1.5.1 to 1.5.7, so that a host can make a cluster again whose data
it has (docs/delta.md). QEMU's own level, 3, gives others with 1.5.7 than with 1.5.6, and images that
are 1 % smaller.
"""
ZLIB_LEVEL = 6
_WINDOW = -12
"""QEMU inflates with a window of 4 KiB, and without zlib's header."""
_MEMORY = 9
"""zlib's memory level for deflating, of at most 9."""

_BITS = 16
_SECTOR = 512
_COPIED = 1 << 63
_COMPRESSED = 1 << 62
_SECTORS_AT = 62 - (_BITS - 8)
_L2_ENTRIES = CLUSTER // 8
_REFCOUNTS = CLUSTER // 2
"""Refcounts in a block: 16 bits each, enough even for clusters of a few bytes."""
_PLAIN_TOGETHER = 64
_HEADER = struct.Struct(">4sIQIIQIIQQIIQ QQQII B7x")
_COMPRESSION_TYPE = 1 << 3
"""Incompatible feature: the header names the compression; it is not needed for zlib."""
_TYPES: dict[Compression, int] = {"zlib": 0, "zstd": 1}


class Qcow2:
    """A qcow2 that is being written; see :class:`imagebuild.image.formats.Writer`. ``size`` is the
    disk's, in bytes.
    """

    def __init__(self, path: Path, size: int, compression: Compression) -> None:
        self._path = path
        self._size = -(-size // _SECTOR) * _SECTOR
        self._compression = compression
        self._file = created(path)
        self._end = 0
        self._references = array("H")
        """The number of references to each cluster of the file."""
        self._tables: dict[int, array[int]] = {}
        """The L2 tables that are not empty."""
        self._plain: list[tuple[int, bytes]] = []
        self._append_clusters(bytes(CLUSTER))  # space for the header

    def encode(self, data: bytes) -> Sequence[bytes]:
        """The clusters of a chunk: empty for zeros, of full length if stored uncompressed."""
        squeeze = _deflated if self._compression == "zlib" else zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress
        return [_smaller(squeeze, part) if part else b"" for part in clusters(data)]

    def add(self, offset: int, parts: Sequence[bytes]) -> None:
        """Append what is not zero."""
        for number, part in enumerate(parts, start=offset // CLUSTER):
            if len(part) == CLUSTER:
                self._plain.append((number, part))
                if len(self._plain) == _PLAIN_TOGETHER:
                    self._append_plain()
            elif part:
                self._append_compressed(number, part)

    def finish(self) -> str:
        """Write the tables, and then the header with their positions."""
        self._append_plain()
        l1_size = max(1, -(-self._size // (CLUSTER * _L2_ENTRIES)))
        l1 = array("Q", bytes(8 * l1_size))
        for number, table in sorted(self._tables.items()):
            l1[number] = self._append_clusters(_big_endian(table)) | _COPIED
        l1_at = self._append_clusters(_big_endian(l1))
        references_at, length = self._append_references()
        self._file.seek(0)
        self._file.write(self._header(l1_size, l1_at, references_at, length))
        self._file.close()
        return sha256(self._path)

    def close(self) -> None:
        """Close the file, finished or not."""
        self._file.close()

    def _append_compressed(self, number: int, part: bytes) -> None:
        first, last = self._end, self._end + len(part) - 1
        self._point(number, _COMPRESSED | (last // _SECTOR - first // _SECTOR) << _SECTORS_AT | first)
        self._count(first // CLUSTER, last // CLUSTER)
        self._append(part)

    def _append_plain(self) -> None:
        for number, part in self._plain:
            self._point(number, self._append_clusters(part) | _COPIED)
        self._plain.clear()

    def _point(self, number: int, entry: int) -> None:
        """Set the L2 entry of the disk's cluster ``number``."""
        table, at = divmod(number, _L2_ENTRIES)
        if table not in self._tables:
            self._tables[table] = array("Q", bytes(CLUSTER))
        self._tables[table][at] = entry

    def _append_references(self) -> tuple[int, int]:
        """Write the refcounts, including those of their own clusters. Returns their table's offset
        and length in clusters.
        """
        self._pad()
        used, blocks, length = self._end // CLUSTER, 0, 0
        while (needed := used + blocks + length) > blocks * _REFCOUNTS or blocks * 8 > length * CLUSTER:
            blocks = -(-needed // _REFCOUNTS)
            length = -(-blocks * 8 // CLUSTER)
        self._count(used, needed - 1)
        self._references.extend(bytes(blocks * _REFCOUNTS - needed))
        first = self._end
        self._append(_big_endian(self._references))
        table = array("Q", range(first, self._end, CLUSTER))
        at = self._end
        self._append(_big_endian(table))
        self._pad()
        return at, length

    def _append_clusters(self, data: bytes) -> int:
        """Write data that starts at a cluster and has one reference. Returns its offset."""
        self._pad()
        at = self._end
        self._append(data)
        self._pad()
        self._count(at // CLUSTER, self._end // CLUSTER - 1)
        return at

    def _append(self, data: bytes) -> None:
        self._file.write(data)
        self._end += len(data)

    def _pad(self) -> None:
        self._append(bytes(-self._end % CLUSTER))

    def _count(self, first: int, last: int) -> None:
        """Add one reference to each of these clusters of the file; no later cluster has references
        yet.
        """
        self._references.extend([0] * (last + 1 - len(self._references)))
        for number in range(first, last + 1):
            self._references[number] += 1

    def _header(self, l1_size: int, l1_at: int, references_at: int, references_length: int) -> bytes:
        kind = _TYPES[self._compression]
        return _HEADER.pack(
            b"QFI\xfb", 3, 0, 0, _BITS, self._size, 0, l1_size, l1_at, references_at, references_length, 0, 0,
            _COMPRESSION_TYPE if kind else 0, 0, 0, 4, _HEADER.size, kind,
        )  # fmt: skip


def _smaller(squeeze: Callable[[bytes], bytes], data: bytes) -> bytes:
    """The compressed cluster if it is smaller, otherwise the cluster itself."""
    whole = data.ljust(CLUSTER, b"\0")
    return min(whole, squeeze(whole), key=len)


def _deflated(data: bytes) -> bytes:
    squeezer = zlib.compressobj(ZLIB_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY)
    return squeezer.compress(data) + squeezer.flush()


def _big_endian(numbers: array[int]) -> bytes:
    if sys.byteorder == "little":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()
