"""What is in an initramfs, file by file: pure."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from imagebuild.customise import initramfs

_HEADER = 110
_MAGIC = (b"070701", b"070702")
_LARGEST_TEXT = 1 << 20


def texts(image: bytes) -> Iterator[tuple[str, bytes]]:
    """Each file, link and folder of an initramfs with its path, and its content if it is a text, or a link's target.

    Raises GuestError for a compression that is not known, or what is damaged or too large.
    """
    archives: list[bytes] = []

    def keep(archive: bytes) -> bytes:
        archives.append(archive)
        return archive

    initramfs.rewritten(image, keep)
    for archive in archives:
        yield from _members(archive)


def _members(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """The members of cpio archives in the format ``newc``, one after the other, with zeros between them."""
    at = 0
    while at + _HEADER <= len(archive):
        if archive[at : at + 6] not in _MAGIC:
            if archive[at] != 0:
                return
            at += 4  # archives begin at a multiple of four
            continue
        try:
            mode, size, length = (int(archive[at + place : at + place + 8], 16) for place in (14, 54, 94))
        except ValueError:
            return
        name = archive[at + _HEADER : at + _HEADER + length].rstrip(b"\0")
        start = _aligned(at + _HEADER + length)
        at = _aligned(start + size)
        if name == b"TRAILER!!!":
            continue
        content = archive[start : start + size] if size <= _LARGEST_TEXT else b""
        is_text = stat.S_ISLNK(mode) or (stat.S_ISREG(mode) and b"\0" not in content)
        yield name.decode("utf-8", "surrogateescape"), content if is_text else b""


def _aligned(offset: int) -> int:
    return (offset + 3) & ~3
