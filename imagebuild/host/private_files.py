"""Files of this user's cache: nobody else can have written what is read from them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from imagebuild.files import write_atomically
from imagebuild.host.ownership import why_not_private


def read(file: Path, longest: int) -> bytes | None:
    """At most ``longest`` bytes of a file that only this user can have written; None if there is none.
    Never raises.
    """
    try:
        if why_not_private(file.parent.lstat()):
            return None
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(stream.fileno())
            return stream.read(longest) if stat.S_ISREG(status.st_mode) and not why_not_private(status) else None
    except OSError:
        return None


def write(file: Path, content: bytes) -> None:
    """Write a file for ``read``, in a folder of its own. If that fails, nothing is kept."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(file, content, 0o600, durable=False)
    except OSError:
        pass
