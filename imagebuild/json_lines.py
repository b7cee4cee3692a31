"""The lines that steps and builds print as JSON, as classes: those of ``imagebuild.events`` that need no
pydantic, so that an unchanged build can print them quickly.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, Protocol

from imagebuild.errors import Problem
from imagebuild.progress import ResultSource


class AnyEvent(Protocol):
    """What every event has: a name of its kind. The class is a dataclass."""

    @property
    def event(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class JsonLine:
    """What every line of ``--json`` has, beside the field ``event`` that names its kind.

    A kind whose field is removed, or changes its meaning, sets a new number as its ``schema``. A new
    field does not change the number.
    """

    schema: Literal[1] = 1


@dataclass(frozen=True, kw_only=True)
class _OfStep(JsonLine):
    """What the events of a step have in common."""

    event: Literal["step"] = "step"
    recipe: str
    step: str


@dataclass(frozen=True, kw_only=True)
class StepStarted(_OfStep):
    """A step begins; ``expected_seconds`` is what it took before, None if the history does not know."""

    state: Literal["started"] = "started"
    expected_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class StepRunning(_OfStep):
    """What a step does now, how much of it is done (from 0 to 1, None if that is not known), and
    what it waits for if nothing follows, if the detail does not say that."""

    state: Literal["running"] = "running"
    detail: str
    fraction: float | None = None
    waiting: str = ""


@dataclass(frozen=True, kw_only=True)
class StepDone(_OfStep):
    """A step has ended, with what it made, and where its result came from: ``made`` here, in the ``store``
    meanwhile by another build, or fetched from the ``remote`` store."""

    state: Literal["done"] = "done"
    summary: str
    seconds: float
    source: ResultSource = "made"


@dataclass(frozen=True, kw_only=True)
class StepFailed(_OfStep):
    """A step has ended without a result."""

    state: Literal["failed"] = "failed"
    error: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Note(JsonLine):
    """Something worth knowing that is no error."""

    event: Literal["note"] = "note"
    recipe: str
    text: str


@dataclass(frozen=True, kw_only=True)
class ArtifactReady(JsonLine):
    """The end of a build: ``unchanged`` if its artifact was there already; paths of the image and its manifest."""

    event: Literal["artifact"] = "artifact"
    unchanged: bool
    recipe: str
    version: str
    image: str
    manifest: str


@dataclass(frozen=True, kw_only=True)
class ErrorReported(JsonLine):
    """The end of a command: ``console`` has the last lines of an installation, ``evidence`` is a
    folder with its logs."""

    event: Literal["error"] = "error"
    recipe: str | None = None
    message: str
    exit_code: int
    hint: str | None = None
    problems: tuple[Problem, ...] = ()
    console: tuple[str, ...] = ()
    evidence: str | None = None


def data(event: Any) -> dict[str, Any]:
    """An event as JSON has it. A command's error leaves out what is not known."""
    found: dict[str, Any] = _plain(event)
    if isinstance(event, ErrorReported):
        return {key: value for key, value in found.items() if value not in (None, ())}
    return found


def _plain(value: Any) -> Any:
    """As asdict(), without copies: values that know how they were written cannot be copied."""
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return tuple(map(_plain, value)) if isinstance(value, tuple | list) else value
