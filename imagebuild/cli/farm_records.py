"""What ``imagebuild farm status --json`` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imagebuild.events import JsonLine


@dataclass(frozen=True, kw_only=True)
class FarmWorkerListed(JsonLine):
    """A worker: ``memory`` and ``disk`` in bytes, ``words`` are what builds may need; ``refused`` says
    why it gets no work from here, if it gets none.
    """

    event: Literal["worker"] = "worker"
    name: str
    address: str
    memory: int
    processors: int
    disk: int
    jobs: int
    words: tuple[str, ...]
    version: str
    draining: bool
    refused: str | None = None


@dataclass(frozen=True, kw_only=True)
class FarmTry:
    """A try of a build: times in UTC, ISO 8601."""

    worker: str
    began: str
    ended: str | None
    outcome: str | None
    message: str


@dataclass(frozen=True, kw_only=True)
class FarmBuildListed:
    """A build of an order: waiting, running, done or failed."""

    image: str
    state: str
    worker: str | None
    version: str | None
    tries: tuple[FarmTry, ...]


@dataclass(frozen=True, kw_only=True)
class FarmOrderListed(JsonLine):
    """An order in the ledger: who asked for it, when (UTC, ISO 8601)."""

    event: Literal["order"] = "order"
    number: int
    at: str
    asked_by: str
    host: str
    builds: tuple[FarmBuildListed, ...]
