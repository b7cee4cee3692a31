"""The formats of images, and the interface between the parts of a conversion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

Format = Literal["qcow2", "raw", "raw.zst", "vmdk", "vhdx"]
Compression = Literal["zstd", "zlib"]

CLUSTER = 1 << 16
"""Bytes that are compressed together and can be read separately: QEMU's default for qcow2."""
CHUNK = 64 * CLUSTER
"""Bytes that a thread processes at a time. It is also the length of the frames in a raw.zst."""
_ZEROS = bytes(CHUNK)


@dataclass(frozen=True)
class FinishedImage:
    """A finished image; ``size`` is the file's, in bytes."""

    path: Path
    format: Format
    compression: str
    size: int
    sha256: str


def compression_of(name: Format, wanted: Compression) -> str:
    """The compression of a format if qcow2 images use ``wanted``; ``none`` if the format is not
    compressed.
    """
    known: dict[Format, str] = {"qcow2": wanted, "raw.zst": "zstd", "vmdk": "zlib"}
    return known.get(name, "none")


def described(name: Format, wanted: Compression) -> str:
    """A format and its compression: ``qcow2 (zstd)``, ``raw``."""
    compression = compression_of(name, wanted)
    return name if compression == "none" or name == "raw.zst" else f"{name} ({compression})"


class Writer(Protocol):
    """An image that is being written. Chunks that :meth:`add` does not get are zero."""

    def encode(self, data: bytes) -> Sequence[bytes]:
        """The parts of a chunk as the image stores them. Called by any thread, at any time: it
        changes nothing.
        """

    def add(self, offset: int, parts: Sequence[bytes]) -> None:
        """Add the parts of the chunk at ``offset`` of the disk. Called in the order of the disk."""

    def finish(self) -> str:
        """Write the rest and return the SHA-256 of the file."""

    def close(self) -> None:
        """Close the file, finished or not."""


def created(path: Path) -> BinaryIO:
    """A new image file, accessible to its owner only: a caller that knows the content may make it
    readable to others.
    """
    path.touch(mode=0o600, exist_ok=False)
    return path.open("r+b", buffering=1 << 20)


def is_zero(data: bytes) -> bool:
    """Whether these bytes, at most a chunk, are all zero."""
    return _ZEROS.startswith(data)  # one memcmp()


def clusters(data: bytes) -> list[bytes]:
    """A chunk's clusters. A cluster of zeros is returned empty; the last one of a disk may be
    short.
    """
    parts = (data[at : at + CLUSTER] for at in range(0, len(data), CLUSTER))
    return [b"" if is_zero(part) else part for part in parts]
