"""A guest's disk through libguestfs: the only place that imports ``guestfs``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["file", "dir", "symlink", "other"]


@dataclass(frozen=True)
class Entry:
    """What is at a path of a guest, links not followed: its last name, kind, permission bits, size in bytes."""

    name: str
    kind: Kind
    mode: int
    size: int
