"""What the commands of ``imagebuild store`` print with ``--json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imagebuild.events import JsonLine
from imagebuild.remote.retention import PrunedEntry


@dataclass(frozen=True, kw_only=True)
class EntryListed(JsonLine):
    """An entry of the remote store: when it was used last (UTC, ISO 8601), the bytes that it takes there, and
    why it would not be taken (empty if it would)."""

    event: Literal["entry"] = "entry"
    kind: str
    fingerprint: str
    recipe: str
    used: str
    size: int
    problem: str


@dataclass(frozen=True, kw_only=True)
class EntryShared(JsonLine):
    """What became of the result of a step, with the bytes on the way: ``there`` if there was nothing to do,
    ``missing`` if the sender does not have it, ``withheld`` if it contains secrets."""

    event: Literal["shared"] = "shared"
    recipe: str
    step: str
    kind: str
    fingerprint: str
    outcome: Literal["pushed", "pulled", "there", "missing", "withheld"]
    size: int


@dataclass(frozen=True, kw_only=True)
class EntryChecked(JsonLine):
    """An entry of the remote store, of which everything was read: what is wrong with it, or nothing."""

    event: Literal["checked"] = "checked"
    kind: str
    fingerprint: str
    recipe: str
    good: bool
    problem: str


@dataclass(frozen=True, kw_only=True)
class RemotePruned(JsonLine):
    """The end of `store prune`: what was removed, or would be. Sizes are in bytes."""

    event: Literal["pruned"] = "pruned"
    removed: tuple[PrunedEntry, ...]
    kept: int
    dry_run: bool
