"""What a result depends on outside of this process, so that it can be kept until any of it changes.
Content counts by its digest, and never by its time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_ABSENT = "absent"


@dataclass
class LookedAt:
    """``contents`` has the SHA-256 of each file that was read, and ``places`` what each path led to that
    was looked up; ``probes`` the state and the answer of each probe of the host that was used. Unless
    ``is_whole``, something could not be looked at.
    """

    contents: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    probes: dict[str, tuple[str, Any]] = field(default_factory=dict)
    is_whole: bool = True

    def is_current(self) -> bool:
        """Whether all files and places are still the same."""
        return (
            self.is_whole
            and all(place(path) == there for path, there in self.places.items())
            and all(_digest_of(path) == sha256 for path, sha256 in self.contents.items())
        )


_noting: list[LookedAt] = []
"""Those that are being filled: mostly none."""


@contextmanager
def noting() -> Iterator[LookedAt]:
    """What is looked at inside the block."""
    seen = LookedAt()
    _noting.append(seen)
    try:
        yield seen
    finally:
        _noting.remove(seen)


def note_content(path: object, content: bytes) -> None:
    """Note that a file was read, and what was in it."""
    for seen in _noting:
        sha256 = hashlib.sha256(content).hexdigest()
        if seen.contents.setdefault(str(path), sha256) != sha256:
            seen.is_whole = False  # it changed meanwhile


def note_place(path: object) -> None:
    """Note that somebody looked whether there is something at a path, and what."""
    for seen in _noting:
        there = place(str(path))
        if seen.places.setdefault(str(path), there) != there:
            seen.is_whole = False


def note_probe(name: str, state: str, answer: Any) -> None:
    """Note that an answer about this host was used, which belongs to a state of it."""
    for seen in _noting:
        seen.probes[name] = (state, answer)


def note_failure() -> None:
    """Note that something could not be looked at."""
    for seen in _noting:
        seen.is_whole = False


def place(path: str) -> str:
    """What there is at a path: its real path, and whether it is a folder; or a link to nothing."""
    real = os.path.realpath(path)
    if os.path.isdir(real):  # noqa: PTH112 - never raises
        return f"folder {real}"
    if os.path.lexists(real):
        return f"file {real}"
    return f"link {real}" if os.path.lexists(path) else _ABSENT


def _digest_of(path: str) -> str | None:
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - half as long as Path
            return hashlib.sha256(stream.read()).hexdigest()
    except OSError:
        return None
