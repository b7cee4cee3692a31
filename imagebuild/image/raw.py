"""Writes raw disks: as a sparse file, or as a zstd stream of the whole disk.

A raw.zst is a sequence of frames (RFC 8878), one per chunk, each with a checksum: ``zstd -d``
unpacks the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import zstandard

from imagebuild.image.formats import CHUNK, CLUSTER, clusters
from imagebuild.image.stream import Stream

ZSTD_LEVEL = 3


class Raw:
    """A sparse copy; see :class:`imagebuild.image.formats.Writer`. ``size`` is the disk's, in
    bytes.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._size = size
        self._stream = Stream(path)

    def encode(self, data: bytes) -> Sequence[bytes]:
        """The clusters of a chunk; clusters of zeros become holes."""
        return clusters(data)

    def add(self, offset: int, parts: Sequence[bytes]) -> None:
        """Write what is not zero."""
        for number, part in enumerate(parts):
            if part:
                self._stream.skip_to(offset + number * CLUSTER)
                self._stream.write(part)

    def finish(self) -> str:
        """Make the file as long as the disk."""
        self._stream.skip_to(self._size)
        return self._stream.finish()

    def close(self) -> None:
        """Close the file, finished or not."""
        self._stream.close()


class RawZst:
    """A compressed disk; see :class:`imagebuild.image.formats.Writer`. ``size`` is the disk's, in
    bytes.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._size = size
        self._done = 0
        self._stream = Stream(path)

    def encode(self, data: bytes) -> Sequence[bytes]:
        """The chunk as one frame."""
        return [_frame(data)]

    def add(self, offset: int, parts: Sequence[bytes]) -> None:
        """Append the frame, after frames for the zeros before it."""
        self._zeros_to(offset)
        self._stream.write(parts[0])
        self._done = min(offset + CHUNK, self._size)

    def finish(self) -> str:
        """Append frames for the zeros at the end."""
        self._zeros_to(self._size)
        return self._stream.finish()

    def close(self) -> None:
        """Close the file, finished or not."""
        self._stream.close()

    def _zeros_to(self, offset: int) -> None:
        while self._done < offset:
            length = min(CHUNK, offset - self._done)
            self._stream.write(_frame_of_zeros(length))
            self._done += length


def _frame(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).compress(data)


@cache
def _frame_of_zeros(length: int) -> bytes:
    return _frame(bytes(length))
