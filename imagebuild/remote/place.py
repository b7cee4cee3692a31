"""What a remote store needs of the place that holds it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from imagebuild.errors import HostError, ImageBuildError

STALL = 20.0
"""Seconds that a place may be silent: who waits could make the result in the meantime."""
PART = re.compile(r"\.[0-9a-f]+\.[0-9a-f]{8}\.part")
"""The last part of the name of a file that is being written, where files do not appear as a whole."""


@dataclass(frozen=True)
class StoredObject:
    """An object at a place: its name with ``/``, its size in bytes, and when it was written, in seconds
    since 1970 by the clock of the place.
    """

    name: str
    size: int
    modified: float


class RemotePlace(Protocol):
    """Objects under names of two or three parts, each written as a whole. Several threads may use it.

    Every method raises HostError if the place cannot be reached, is full, or refuses something.
    """

    @property
    def writable(self) -> bool:
        """Whether anything can be written there at all."""

    @property
    def threads(self) -> int:
        """How many objects to transfer at one time."""

    def read(self, name: str, limit: int) -> bytes | None:
        """An object; None if there is none. Raises TooLarge if it has more than ``limit`` bytes."""

    def size(self, name: str) -> int | None:
        """The bytes of an object; None if there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Write an object: whoever reads it finds the old one, or the new one, or none."""

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        """The objects whose names begin with the folder ``prefix``, in no particular order."""

    def remove(self, name: str) -> None:
        """Remove an object; no error if there is none."""

    def close(self) -> None:
        """End connections."""


class TooLarge(ImageBuildError):
    """An object has more bytes than it can have."""


def too_large(name: str, limit: int) -> TooLarge:
    """The error for an object that has more than ``limit`` bytes."""
    return TooLarge(f"{name} has more than {limit} bytes")


def cannot_write(name: str) -> HostError:
    """The error for a place that can only be read."""
    return HostError(f"the remote store {name} can only be read", "name the folder or server behind it to write there")
