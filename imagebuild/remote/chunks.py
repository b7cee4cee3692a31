"""Files as chunks: pieces of equal length at multiples of it, without those that are zeros only. Pure
but for reading the file.

Disks of one family have equal blocks at equal places, so that equal chunks are stored once;
docs/remote-store.md has what other lengths would give.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import zstandard

CHUNK = 1 << 20
"""Bytes of a chunk."""
SMALLEST, LARGEST = 1 << 12, 1 << 24
"""Bytes that a chunk of a record may have."""
_LEVEL = 3
_BLOCK = 4096
_ZEROES = bytes(LARGEST)


def chunks(path: Path, length: int = CHUNK) -> Iterator[tuple[int, bytes]]:
    """The number and the content of each chunk of a file that is not zeros only. Holes are not read."""
    with path.open("rb", buffering=0) as file:
        size, number = os.fstat(file.fileno()).st_size, 0
        while number * length < size:
            try:
                number = os.lseek(file.fileno(), number * length, os.SEEK_DATA) // length
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                return  # a hole up to the end
            content = os.pread(file.fileno(), min(length, size - number * length), number * length)
            if content != _ZEROES[: len(content)]:
                yield number, content
            number += 1


def digest(content: bytes) -> str:
    """The SHA-256 of a chunk, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def packed(content: bytes) -> bytes:
    """A chunk as it is stored: one frame of zstd (RFC 8878) that says how long its content is."""
    return zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True).compress(content)


def most_packed(length: int) -> int:
    """The most bytes that a chunk of ``length`` bytes takes when it is stored (zstd.h, ZSTD_compressBound)."""
    return length + length // 128 + 1024


def unpacked(stored: bytes, length: int, expected: str) -> bytes:
    """The content of a stored chunk. Raises ValueError unless it has this length and this digest; nothing
    longer is ever unpacked.
    """
    try:
        if zstandard.frame_content_size(stored) != length:
            raise ValueError("it has another length")
        content = zstandard.ZstdDecompressor().decompress(stored, max_output_size=length)
    except zstandard.ZstdError as error:
        raise ValueError(f"it cannot be unpacked: {error}") from error
    if digest(content) != expected:
        raise ValueError("its content is another one")
    return content


def write_sparse(path: Path, offset: int, content: bytes) -> None:
    """Write the blocks of a chunk that are not zeros to a file that exists and has zeros there.

    The file is opened for each chunk: a thread that was given up must not write to a descriptor that has
    become another file's.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        begin = -1
        for at in range(0, len(content) + _BLOCK, _BLOCK):
            block = content[at : at + _BLOCK]
            full = bool(block) and block != _ZEROES[: len(block)]
            if full and begin < 0:
                begin = at
            elif not full and begin >= 0:
                _write(descriptor, offset + begin, memoryview(content)[begin:at])
                begin = -1
    finally:
        os.close(descriptor)


def _write(descriptor: int, offset: int, rest: memoryview) -> None:
    while rest:
        count = os.pwrite(descriptor, rest, offset)
        offset, rest = offset + count, rest[count:]
