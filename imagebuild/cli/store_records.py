"""What ``history --json`` and ``gc --json`` print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imagebuild.build.gc import Removed
from imagebuild.events import JsonLine
from imagebuild.store.history import StepRecord


@dataclass(frozen=True, kw_only=True)
class BuildRecorded(JsonLine):
    """A build in the history. Times are in UTC (ISO 8601), sizes in bytes, of all disks together.

    ``error`` is the first line of the error, ``fingerprint`` that of the artifact.
    """

    event: Literal["build"] = "build"
    run: str
    recipe: str
    began: str
    ended: str | None
    outcome: Literal["built", "unchanged", "failed", "interrupted", "running", "died"]
    version: str | None
    fingerprint: str | None
    error: str | None
    size: int | None
    virtual_size: int | None
    accelerator: str | None
    steps: tuple[StepRecord, ...]
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class StoreCollected(JsonLine):
    """The end of `gc`: what was removed, or would be. Sizes are in bytes."""

    event: Literal["collected"] = "collected"
    removed: tuple[Removed, ...]
    freed: int
    kept: int
    dry_run: bool
