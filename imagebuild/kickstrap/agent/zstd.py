"""Finds the end of a zstd stream (RFC 8878, section 3.1).

A disk consists of whole sectors of 512 bytes, so an archive on one is padded with zeros, and zstd
treats data after its last frame as damage. Only headers are read, not the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Callable

MAGIC = b"\x28\xb5\x2f\xfd"
_DICTIONARY_ID = (0, 1, 2, 4)
_CONTENT_SIZE = (0, 2, 4, 8)
_RLE, _RESERVED = 1, 3


def length(read_at: Callable[[int, int], bytes]) -> int:
    """The length in bytes of all frames from offset 0; ``read_at(count, offset)`` reads data.

    Raises InstallError if a frame is cut off or damaged.
    """
    offset = 0
    while True:
        head = read_at(8, offset)
        if head[:4] == MAGIC:
            offset = _frame_end(read_at, offset)
        elif len(head) == 8 and head[0] >> 4 == 5 and head[1:4] == b"\x2a\x4d\x18":
            offset += 8 + int.from_bytes(head[4:], "little")
        else:
            return offset


def _frame_end(read_at: Callable[[int, int], bytes], offset: int) -> int:
    descriptor = _number(read_at, 1, offset + 4)
    single_segment = descriptor >> 5 & 1
    content_size = _CONTENT_SIZE[descriptor >> 6] or single_segment
    offset += 5 + (1 - single_segment) + _DICTIONARY_ID[descriptor & 3] + content_size
    last = 0
    while not last:
        header = _number(read_at, 3, offset)
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        if kind == _RESERVED:
            raise InstallError("the payload's zstd stream is damaged")
        offset += 3 + (1 if kind == _RLE else size)
    return offset + 4 * (descriptor >> 2 & 1)


def _number(read_at: Callable[[int, int], bytes], count: int, offset: int) -> int:
    data = read_at(count, offset)
    if len(data) != count:
        raise InstallError("the payload's zstd stream is cut off")
    return int.from_bytes(data, "little")
