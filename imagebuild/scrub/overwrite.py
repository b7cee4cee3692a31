"""New content for an existing file, whose inode, names and open handles stay."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 1 << 20
_HEADER = 4096
"""The number of bytes that contain an image's header. They are replaced by one write, so that an
interrupted run leaves a header by which the image can be recognised."""


def overwrite(source: int, target: Path) -> None:
    """Make ``target`` identical to the open file ``source``, including holes, and durable. Its
    previous content is freed first.

    Can be repeated after an interruption. Raises OSError.
    """
    size = os.fstat(source).st_size
    with os.fdopen(os.open(target, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "r+b", buffering=0) as file:
        file.truncate(_HEADER)
        file.truncate(size)
        for start, end in _data(source, size):
            for at in range(start, end, _BLOCK):
                _write(file.fileno(), os.pread(source, min(_BLOCK, end - at), at), at)
        os.fsync(file.fileno())


def _write(descriptor: int, content: bytes, at: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written


def _data(source: int, size: int) -> Iterator[tuple[int, int]]:
    """Where ``source`` contains data, and the location of the header in any case."""
    yield 0, min(_HEADER, size)
    at = _HEADER
    while at < size:
        try:
            start = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return  # a hole until the end of the file
        at = os.lseek(source, start, os.SEEK_HOLE)
        yield start, at
