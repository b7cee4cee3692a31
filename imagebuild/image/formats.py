"""The formats an image can have, and what the parts of a conversion agree on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

Format = Literal["qcow2", "raw", "raw.zst", "vmdk", "vhdx"]
Compression = Literal["zstd", "zlib"]

CLUSTER = 1 << 16
"""Bytes that are compressed together and can be read alone: QEMU's default for qcow2."""
CHUNK = 64 * CLUSTER
"""Bytes that one thread works on at a time. It decides what a raw.zst looks like: its frames are this long."""
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
    """How a format is compressed where a qcow2 is compressed as ``wanted``; ``none`` if it is not."""
    known: dict[Format, str] = {"qcow2": wanted, "raw.zst": "zstd", "vmdk": "zlib"}
    return known.get(name, "none")


def described(name: Format, wanted: Compression) -> str:
    """A format and its compression: ``qcow2 (zstd)``, ``raw``."""
    compression = compression_of(name, wanted)
    return name if compression == "none" or name == "raw.zst" else f"{name} ({compression})"


class Writer(Protocol):
    """An image under way. What :meth:`add` never gets is zero."""

    def encode(self, data: bytes) -> Sequence[bytes]:
        """The parts of a chunk as the image keeps them. Called by any thread, at any time: it changes nothing."""

    def add(self, offset: int, parts: Sequence[bytes]) -> None:
        """Take the parts of the chunk at ``offset`` of the disk. Called in the order of the disk."""

    def finish(self) -> str:
        """Write what is left and return the SHA-256 of the file."""

    def close(self) -> None:
        """Close the file, finished or not."""


def created(path: Path) -> BinaryIO:
    """A new file to write an image into, for its owner alone: whoever knows what is in it may open it to others."""
    path.touch(mode=0o600, exist_ok=False)
    return path.open("r+b", buffering=1 << 20)


def is_zero(data: bytes) -> bool:
    """Whether these bytes, at most a chunk, are all zero."""
    return _ZEROS.startswith(data)  # one memcmp()


def clusters(data: bytes) -> list[bytes]:
    """A chunk's clusters. One that is all zero is empty here; the last of a disk may be short."""
    parts = (data[at : at + CLUSTER] for at in range(0, len(data), CLUSTER))
    return [b"" if is_zero(part) else part for part in parts]
