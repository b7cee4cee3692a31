"""The contents of an initramfs, file by file. Pure functions."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from imagebuild.customise.linux import initramfs

_LARGEST_TEXT = 1 << 20


def texts(image: bytes) -> Iterator[tuple[str, bytes]]:
    """Each file, link and folder of an initramfs with its path, and its content if it is a text, or
    the target of a link.

    Raises GuestError if the compression is unknown or the archive is damaged or too large.
    """
    for member in initramfs.members(image):
        content = member.content if len(member.content) <= _LARGEST_TEXT else b""
        is_text = stat.S_ISLNK(member.mode) or (stat.S_ISREG(member.mode) and b"\0" not in content)
        yield member.name.decode("utf-8", "surrogateescape"), content if is_text else b""
