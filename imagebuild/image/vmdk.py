"""Writes a stream-optimized vmdk, according to VMware's "Virtual Disk Format 5.0": the format
inside an OVF.

    header, descriptor, grains with a grain table after each 32 MiB of the disk, grain directory, footer

Each table follows the data that it describes, so the file is written, and its digest computed, from
front to back. The content identifier (CID), which VMware changes with each write, is that of a new
disk, so that the same disk produces the same bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from imagebuild.image.formats import CLUSTER, clusters
from imagebuild.image.stream import Stream

ZLIB_LEVEL = 6
_SECTOR = 512
_GRAIN = CLUSTER // _SECTOR
_IN_TABLE = 512
_DESCRIPTOR_SECTORS = 20
_OVERHEAD = 128
"""Sectors before the first grain."""
_AT_END = (1 << 64) - 1
"""The header's offset of the grain directory: it is in the footer instead."""
_HEADER = struct.Struct("<4sIIQQQQIQQQB4sH433x")
_FLAGS = 1 << 0 | 1 << 16 | 1 << 17
"""Flags: line ends can be tested, grains are compressed, there are markers."""
_DEFLATE = 1
_END_OF_STREAM, _TABLE, _DIRECTORY, _FOOTER = range(4)
_HEADS, _TRACK = 255, 63
_DESCRIPTOR = """\
# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="streamOptimized"

# Extent description
RW {sectors} SPARSE "{name}"

# The Disk Data Base
#DDB

ddb.adapterType = "lsilogic"
ddb.geometry.cylinders = "{cylinders}"
ddb.geometry.heads = "{heads}"
ddb.geometry.sectors = "{track}"
ddb.virtualHWVersion = "7"
"""


class Vmdk:
    """A vmdk that is being written; see :class:`imagebuild.image.formats.Writer`. ``size`` is the
    disk's, in bytes.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._sectors = -(-size // _SECTOR)
        self._stream = Stream(path)
        grains = -(-self._sectors // _GRAIN)
        self._directory = [0] * -(-grains // _IN_TABLE)
        self._table = [0] * _IN_TABLE
        self._current = 0
        """The number of the table that is currently filled."""
        self._stream.write(self._header(_AT_END))
        self._stream.write(self._descriptor(path.name))
        self._stream.write(bytes(_OVERHEAD * _SECTOR - self._stream.length))

    def encode(self, data: bytes) -> Sequence[bytes]:
        """The grains of a chunk: empty for zeros."""
        return [zlib.compress(part.ljust(CLUSTER, b"\0"), ZLIB_LEVEL) if part else b"" for part in clusters(data)]

    def add(self, offset: int, parts: Sequence[bytes]) -> None:
        """Append what is not zero."""
        for number, part in enumerate(parts, start=offset // CLUSTER):
            if part:
                table, at = divmod(number, _IN_TABLE)
                if table != self._current:
                    self._append_table()
                    self._current = table
                self._table[at] = self._append(struct.pack("<QI", number * _GRAIN, len(part)) + part)

    def finish(self) -> str:
        """Append the tables with the positions of the grains."""
        self._append_table()
        directory = self._append_marked(_DIRECTORY, struct.pack(f"<{len(self._directory)}I", *self._directory))
        self._append_marked(_FOOTER, self._header(directory))
        self._append_marked(_END_OF_STREAM, b"")
        return self._stream.finish()

    def close(self) -> None:
        """Close the file, finished or not."""
        self._stream.close()

    def _append_table(self) -> None:
        if any(self._table):
            self._directory[self._current] = self._append_marked(_TABLE, struct.pack(f"<{_IN_TABLE}I", *self._table))
            self._table = [0] * _IN_TABLE

    def _append_marked(self, kind: int, data: bytes) -> int:
        """Write a marker and the data that it announces. Returns the data's first sector."""
        self._append(struct.pack("<QII", -(-len(data) // _SECTOR), 0, kind))
        return self._append(data)

    def _append(self, data: bytes) -> int:
        """Write whole sectors. Returns the first one."""
        at = self._stream.length // _SECTOR
        self._stream.write(data.ljust(-(-len(data) // _SECTOR) * _SECTOR, b"\0"))
        return at

    def _header(self, directory: int) -> bytes:
        return _HEADER.pack(
            b"KDMV", 3, _FLAGS, self._sectors, _GRAIN, 1, _DESCRIPTOR_SECTORS, _IN_TABLE, 0, directory, _OVERHEAD,
            0, b"\n \r\n", _DEFLATE,
        )  # fmt: skip

    def _descriptor(self, name: str) -> bytes:
        cylinders = min(max(1, self._sectors // (_HEADS * _TRACK)), 65535)
        text = _DESCRIPTOR.format(
            sectors=self._sectors, name=name, cylinders=cylinders, heads=_HEADS, track=_TRACK
        ).encode()
        return text.ljust(_DESCRIPTOR_SECTORS * _SECTOR, b"\0")
