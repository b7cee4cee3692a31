"""What the ledger knows, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BuildState = Literal["waiting", "running", "done", "failed"]
TryOutcome = Literal["built", "failed", "lost", "unable", "handed back", "too late"]

MAX_TRIES = 3
"""How many workers may die of one build."""
LEASE = 60.0
"""Seconds after which a claim that was not renewed may be taken over."""


@dataclass(frozen=True)
class OrderedImage:
    """An image that is asked for: its name, and the fingerprint of its artifact."""

    image: str
    fingerprint: str


@dataclass(frozen=True)
class Claim:
    """The right to build something. ``fence`` is larger than that of every earlier claim on it."""

    build: int
    fence: int
    image: str
    worker: str


@dataclass(frozen=True)
class BuildTry:
    """One try of a build, with its evidence. Times are seconds since 1970, by the database's clock."""

    fence: int
    worker: str
    began: float
    ended: float | None
    outcome: TryOutcome | None
    message: str
    evidence: str


@dataclass(frozen=True)
class LedgerBuild:
    """A build: ``worker`` is the last one that claimed it; ``artifact`` is its entry in the shared
    store, once it is done. ``is_held`` says whether the lease of its claim has not run out.
    """

    id: int
    image: str
    fingerprint: str
    state: BuildState
    worker: str | None
    is_held: bool
    version: str | None
    artifact: str | None
    tries: tuple[BuildTry, ...] = ()


@dataclass(frozen=True)
class LedgerOrder:
    """An order: who asked, from which host, when (seconds since 1970), for which builds."""

    id: int
    at: float
    asked_by: str
    host: str
    builds: tuple[LedgerBuild, ...]
