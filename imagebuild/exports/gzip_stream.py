"""A gzip file (RFC 1952) that several threads compress.

The chunks are deflated independently of each other, and joined as blocks of one member: some
readers stop after the first member. Nothing in it depends on the time or the number of threads.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from types import TracebackType
from typing import Protocol

from imagebuild.image.formats import CHUNK

LEVEL = 6
FASTEST = 1
"""For content that is compressed already."""
_AHEAD = 3
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Deflate, no name, no time, an unknown system."""
_END = b"\x03\x00"
"""The last block: empty, with fixed codes (RFC 1951, 3.2.3)."""
_ZEROS = bytes(CHUNK)


class ByteSink(Protocol):
    """What takes bytes in order."""

    def write(self, data: bytes, /) -> object:
        """Append ``data``."""


class GzipStream:
    """Compresses what is written to it, into ``target``; used as a context manager."""

    def __init__(self, target: ByteSink, level: int = LEVEL, threads: int | None = None) -> None:
        self._target = target
        self._level = level
        self._threads = threads or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self._threads)
        self._under_way: deque[Future[bytes]] = deque()
        self._waiting = bytearray()
        self._length = 0
        self._crc = 0
        target.write(_HEADER)

    def __enter__(self) -> GzipStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def tell(self) -> int:
        """The number of bytes that were written to it."""
        return self._length + len(self._waiting)

    def write(self, data: bytes) -> int:
        """Append ``data``."""
        self._waiting += data
        while len(self._waiting) >= CHUNK:
            self._submit(bytes(self._waiting[:CHUNK]))
            del self._waiting[:CHUNK]
        return len(data)

    def write_zeros(self, count: int) -> None:
        """Append ``count`` zeros."""
        first = min(count, -len(self._waiting) % CHUNK)
        self.write(_ZEROS[:first])
        whole, rest = divmod(count - first, CHUNK)
        for _ in range(whole):
            self._count(_ZEROS)
            self._enqueue(_finished(_deflated_zeros(self._level)))
        self.write(_ZEROS[:rest])

    def finish(self) -> None:
        """Write the rest and the end of the file."""
        if self._waiting:
            self._submit(bytes(self._waiting))
            self._waiting.clear()
        while self._under_way:
            self._target.write(self._under_way.popleft().result())
        self._target.write(_END + self._crc.to_bytes(4, "little") + (self._length % (1 << 32)).to_bytes(4, "little"))

    def _submit(self, data: bytes) -> None:
        self._count(data)
        self._enqueue(self._pool.submit(_deflated, data, self._level))

    def _count(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._length += len(data)

    def _enqueue(self, block: Future[bytes]) -> None:
        self._under_way.append(block)
        while len(self._under_way) > self._threads * _AHEAD:
            self._target.write(self._under_way.popleft().result())


def _deflated(data: bytes, level: int) -> bytes:
    """Blocks that end at a byte and refer to nothing before them."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, 9)
    return packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)


@cache
def _deflated_zeros(level: int) -> bytes:
    return _deflated(_ZEROS, level)


def _finished(data: bytes) -> Future[bytes]:
    done: Future[bytes] = Future()
    done.set_result(data)
    return done
