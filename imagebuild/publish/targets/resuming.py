"""Sends a file to a partial file that an earlier attempt may have left, here or elsewhere."""

from __future__ import annotations

import hashlib
from typing import Protocol

from imagebuild.errors import ImageBuildError
from imagebuild.publish.protocol import Progress
from imagebuild.publish.release import ReleaseFile

BLOCK = 4 << 20
"""Bytes that are compared, sent and counted at a time."""


class Part(Protocol):
    """A file that is not complete; its methods raise OSError or HostError."""

    def size(self) -> int:
        """Its bytes."""

    def read(self, at: int, length: int) -> bytes:
        """At most ``length`` bytes from the offset ``at``; fewer at the end."""

    def write(self, at: int, block: bytes) -> None:
        """Write all of a block."""

    def cut(self, size: int) -> None:
        """Remove everything after ``size`` bytes."""


def sent(file: ReleaseFile, part: Part, progress: Progress) -> int:
    """Make ``part`` the same as the file, and return the bytes that were written.

    What is there already is read and compared with the file, block by block, up to the first one that
    differs. Raises ImageBuildError if the file is not what it was when the release was made.
    """
    total, digest = file.stored.size, hashlib.sha256()
    there: int | None = part.size()
    at = written = 0
    with file.path.open("rb", buffering=0) as source:
        while at < total and (block := source.read(min(BLOCK, total - at))):
            if there is not None and (at + len(block) > there or part.read(at, len(block)) != block):
                part.cut(at)
                there = None
            if there is None:
                part.write(at, block)
                written += len(block)
            digest.update(block)
            at += len(block)
            progress(at, total)
        grown = bool(source.read(1))
    if there is not None and there > at:
        part.cut(at)
    if grown or at != total or digest.hexdigest() != file.stored.sha256:
        raise ImageBuildError(
            f"{file.path} was changed while it was sent: its SHA-256 is not the one in its manifest",
            "build it again; nothing was published",
        )
    return written
