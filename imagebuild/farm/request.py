"""What goes to a worker and what comes back: plain values, checked on arrival."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from imagebuild.build.scheduler import Room
from imagebuild.errors import ImageBuildError

ReplyState = Literal["done", "failed", "declined", "superseded", "handed back"]
FUNCTION_KEY = "imagebuild"
"""The prefix of all keys of tasks, which dask's dashboard shows."""


@dataclass(frozen=True)
class BuildRequest:
    """A build for a worker. ``recipe`` names the recipe's file in the bundle, ``words`` are further
    options of ``imagebuild build``; ``states`` are those of packages, as ``freshness`` has them;
    ``after`` is the newest version that the one who asks has.
    """

    build: int
    image: str
    fingerprint: str
    recipe: str
    words: tuple[str, ...]
    states: Mapping[str, str]
    after: str
    topic: str
    room: Room
    files: Mapping[str, bytes] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class BuildReply:
    """How a task ended on a worker; the ledger has the details. ``message`` says why a worker
    declined.
    """

    state: ReplyState
    message: str = ""

    def as_data(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@cache
def _requests() -> TypeAdapter[BuildRequest]:
    return TypeAdapter(BuildRequest)


@cache
def _replies() -> TypeAdapter[BuildReply]:
    return TypeAdapter(BuildReply)


def request_of(data: object) -> BuildRequest:
    """A request as it arrived. Raises ImageBuildError."""
    try:
        return _requests().validate_python(data)
    except ValidationError as error:
        raise ImageBuildError("a request for a build is malformed", "is the client of another version?") from error


def reply_of(data: object) -> BuildReply:
    """A reply as it arrived. Raises ImageBuildError."""
    try:
        return _replies().validate_python(data)
    except ValidationError as error:
        raise ImageBuildError("a worker's reply is malformed", "is the worker of another version?") from error
