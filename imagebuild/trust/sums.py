"""Reads SHA256SUMS, and digests of files in a folder of somebody else's."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

_LINE = re.compile(r"([0-9a-f]{64})  ([^/\0\n\\]{1,255})")
_MOST = 10_000
LARGEST = 4 << 20
"""Bytes of the file."""


def parsed(content: bytes) -> Mapping[str, str]:
    """Name → SHA-256 of each file. Raises ValueError for what `write_checksums` does not write."""
    lines = content.decode().removesuffix("\n").split("\n")
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] in (".", "..") or match[2] in found or number > _MOST:
            raise ValueError(f"line {number} is not a digest and a new name")
        found[match[2]] = match[1]
    if not found:
        raise ValueError("it lists no file")
    return found


def digest(path: Path) -> str | None:
    """The SHA-256 of a regular file; None if there is none. Links are not followed. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError("it is a link") from error
        raise
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is not a regular file")
        return hashlib.file_digest(file, "sha256").hexdigest()
