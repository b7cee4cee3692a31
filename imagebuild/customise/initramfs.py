"""Changing what is inside an initramfs without the guest's tools: pure.

An initramfs is a row of cpio archives (kernel documentation, "initramfs buffer format"): some may be plain, such as the one with
microcode at the front, and the last is mostly compressed. A change that keeps every length keeps the archives right.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Protocol

import zstandard

from imagebuild.errors import GuestError

_LARGEST = 1 << 30
"""Bytes that an initramfs may unpack to."""
_PIECE = 256 << 10
"""Bytes that are unpacked at once: what a bomb may grow to between two looks at its size is bounded by it."""
_WITH_SUMS = b"070702"
_CPIO = (b"070701", _WITH_SUMS)
_HEADER = 110
Change = Callable[[bytes], bytes]


def rewritten(content: bytes, change: Change) -> bytes:
    """``content`` with ``change`` applied to each archive, compressed as before; the same object if nothing changes.

    ``change`` must keep the length. Raises GuestError for a compression that is not known here, or what is damaged or too large.
    """
    parts: list[bytes] = []
    at = 0
    while at < len(content):
        zeros = len(content) - at - len(content[at:].lstrip(b"\0"))
        parts.append(content[at : at + zeros])
        at += zeros
        if content[at : at + 6] in _CPIO:
            end = _end_of_archive(content, at)
            parts.append(_changed(content[at:end], change))
            at = end
        elif at < len(content):
            new, used = _compressed(content[at:], change)
            parts.append(new)
            at += used
    joined = b"".join(parts)
    return content if joined == content else joined


def _changed(archive: bytes, change: Change) -> bytes:
    new = change(archive)
    if new != archive and archive.startswith(_WITH_SUMS):
        raise GuestError(
            "an initramfs of the guest has a checksum for each file, which is not known here to be changed"
        )
    return new


def _end_of_archive(content: bytes, start: int) -> int:
    at = start
    while content[at : at + 6] in _CPIO:
        try:
            size, length = int(content[at + 54 : at + 62], 16), int(content[at + 94 : at + 102], 16)
        except ValueError as error:
            raise GuestError("an initramfs of the guest is damaged") from error
        name = content[at + _HEADER : at + _HEADER + length].rstrip(b"\0")
        at = start + _aligned(_aligned(at - start + _HEADER + length) + size)
        if name == b"TRAILER!!!":
            return min(at, len(content))
    raise GuestError("an initramfs of the guest is damaged: an archive has no end")


def _aligned(offset: int) -> int:
    return (offset + 3) & ~3


class _Unpacker(Protocol):
    """What zlib, lzma, bz2 and zstandard have in common."""

    def decompress(self, data: bytes, /) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


def _compressed(content: bytes, change: Change) -> tuple[bytes, int]:
    """A compressed archive changed and compressed again, and how many bytes of ``content`` it took."""
    for magic, unpacker, pack in _METHODS:
        if content.startswith(magic):
            try:
                plain, used = _unpacked(content, unpacker())
            except (zlib.error, lzma.LZMAError, OSError, EOFError, zstandard.ZstdError) as error:
                raise GuestError(f"an initramfs of the guest is damaged: {error}") from error
            changed = _changed(plain, change)
            return (content[:used] if changed == plain else pack(changed)), used
    raise GuestError(
        "an initramfs of the guest is compressed in a way that is not known here",
        "gzip, xz, bzip2 and zstd are; let the guest make it anew with one of them",
    )


def _unpacked(content: bytes, unpacker: _Unpacker) -> tuple[bytes, int]:
    """What the first compressed stream of ``content`` holds, and how long it is."""
    parts: list[bytes] = []
    for at in range(0, len(content), _PIECE):
        parts.append(unpacker.decompress(content[at : at + _PIECE]))
        if sum(map(len, parts)) > _LARGEST:
            raise GuestError("an initramfs of the guest unpacks to more than 1 GiB")
        if unpacker.eof:
            return b"".join(parts), min(at + _PIECE, len(content)) - len(unpacker.unused_data)
    raise EOFError("it ends too early")


def _gzip(data: bytes) -> bytes:
    pack = zlib.compressobj(level=6, wbits=31)
    return pack.compress(data) + pack.flush()


def _xz(data: bytes) -> bytes:
    return lzma.compress(data, check=lzma.CHECK_CRC32, preset=3)  # the kernel knows no other check


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=6).compress(data)


_METHODS: tuple[tuple[bytes, Callable[[], _Unpacker], Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b", lambda: zlib.decompressobj(wbits=31), _gzip),
    (b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(memlimit=_LARGEST), _xz),
    (b"BZh", bz2.BZ2Decompressor, bz2.compress),
    (b"\x28\xb5\x2f\xfd", lambda: zstandard.ZstdDecompressor().decompressobj(), _zstd),
)
