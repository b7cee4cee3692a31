"""The compression of an initramfs: unpacking it, and packing it again in a format that the kernel
reads. Pure functions."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import lz4.block
import zstandard

from imagebuild.errors import GuestError
from imagebuild.kernel import lz4_legacy

_LARGEST = 1 << 30
"""The maximum size of an unpacked initramfs in bytes."""
_PIECE = 256 << 10
"""The number of bytes unpacked at a time: it limits the growth of a decompression bomb between two
checks of its size."""


@dataclass(frozen=True)
class Method:
    """A compression: its magic bytes; ``unpack`` returns the plain data and the length of the
    compressed data, for at most ``limit`` bytes of plain data."""

    magic: bytes
    unpack: Callable[[bytes, int], tuple[bytes, int]]
    pack: Callable[[bytes], bytes]


def method_of(content: bytes) -> Method | None:
    """The compression at the beginning of ``content``; None if it is unknown."""
    return next((one for one in _METHODS if content.startswith(one.magic)), None)


def unpacked(method: Method, content: bytes) -> tuple[bytes, int]:
    """The data in the first compressed stream of ``content``, and the length of the stream.
    GuestError if it is damaged or too large."""
    try:
        return method.unpack(content, _LARGEST)
    except _ERRORS as error:
        raise GuestError(f"an initramfs of the guest is damaged: {error}") from error


def starts_with(method: Method, content: bytes, magic: tuple[bytes, ...]) -> bool:
    """Whether the plain data of ``content`` begins with one of ``magic``."""
    try:
        return method.unpack(content[: _PIECE * 64], 0)[0].startswith(magic)
    except (*_ERRORS, GuestError):
        return False


_ERRORS = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, zstandard.ZstdError, lz4.block.LZ4BlockError)


class _Unpacker(Protocol):
    """The common interface of zlib, lzma, bz2 and zstandard."""

    def decompress(self, data: bytes, /) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


def _streaming(make: Callable[[], _Unpacker]) -> Callable[[bytes, int], tuple[bytes, int]]:
    def unpack(content: bytes, limit: int) -> tuple[bytes, int]:
        unpacker = make()
        parts: list[bytes] = []
        total = 0
        for at in range(0, len(content), _PIECE):
            parts.append(unpacker.decompress(content[at : at + _PIECE]))
            total += len(parts[-1])
            if unpacker.eof:
                return b"".join(parts), min(at + _PIECE, len(content)) - len(unpacker.unused_data)
            if total > limit:
                return _stopped(parts, limit)
        raise EOFError("it ends too early")

    return unpack


def _stopped(parts: list[bytes], limit: int) -> tuple[bytes, int]:
    """The result if there is more data than requested: an error, unless only the beginning was
    requested."""
    if limit:
        raise GuestError("an initramfs of the guest unpacks to more than 1 GiB")
    return b"".join(parts), 0


def _unlz4(content: bytes, limit: int) -> tuple[bytes, int]:
    end, parts, total = len(lz4_legacy.MAGIC), [], 0
    for block, end in lz4_legacy.blocks(content):  # noqa: B007  # the last one's counts
        parts.append(block)
        total += len(block)
        if total > limit:
            return _stopped(parts, limit)
    return b"".join(parts), end


def _gzip(data: bytes) -> bytes:
    pack = zlib.compressobj(level=6, wbits=31)
    return pack.compress(data) + pack.flush()


def _xz(data: bytes) -> bytes:
    return lzma.compress(data, check=lzma.CHECK_CRC32, preset=3)  # the kernel supports no other check


def _lzma(data: bytes) -> bytes:
    return lzma.compress(data, format=lzma.FORMAT_ALONE, preset=3)


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=6).compress(data)


_METHODS = (
    Method(b"\x1f\x8b", _streaming(lambda: zlib.decompressobj(wbits=31)), _gzip),
    Method(b"\xfd7zXZ\0", _streaming(lambda: lzma.LZMADecompressor(memlimit=_LARGEST)), _xz),
    Method(b"\x5d\0\0", _streaming(lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LARGEST)), _lzma),
    Method(b"BZh", _streaming(bz2.BZ2Decompressor), bz2.compress),
    Method(b"\x28\xb5\x2f\xfd", _streaming(lambda: zstandard.ZstdDecompressor().decompressobj()), _zstd),
    Method(lz4_legacy.MAGIC, _unlz4, lz4_legacy.pack),
)
