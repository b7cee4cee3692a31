"""What a process reports to the one that started it: one JSON object per line, each of them one of
these classes.

``build --json`` prints a BuildEvent per line, for the user's programs and for a build of several
images alike. The process that works on a disk reports a CustomiseEvent per line. A field that is
added needs a default, so that older lines can still be read.

What commands print with ``--json`` is a JsonLine per line; cli/json_output.py lists them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, Protocol, TypeVar

from pydantic import Field, TypeAdapter

from imagebuild.errors import Problem
from imagebuild.progress import ResultSource
from imagebuild.schema.customised import CustomiseResult, OperationResult

Event = TypeVar("Event")


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


@dataclass(frozen=True, kw_only=True)
class Scrubbed(JsonLine):
    """The end of a scrub; what each operation did is as in a manifest."""

    event: Literal["scrubbed"] = "scrubbed"
    image: str
    dry_run: bool
    operations: tuple[OperationResult, ...]


@dataclass(frozen=True, kw_only=True)
class AuditFinding:
    """What an image still carries: ``kind`` is identity, secret or note; ``operation`` found it."""

    kind: str
    operation: str
    path: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Audited(JsonLine):
    """The end of an audit; ``carried`` counts the findings that are no notes."""

    event: Literal["audited"] = "audited"
    image: str
    findings: tuple[AuditFinding, ...]
    carried: int


@dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """A file, or the folder of a layout, that an export made; ``size`` in bytes is that of its content."""

    path: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Exported(JsonLine):
    """The end of an export."""

    event: Literal["exported"] = "exported"
    image: str
    format: str
    files: tuple[ExportedFile, ...]


@dataclass(frozen=True, kw_only=True)
class Verified(JsonLine):
    """The end of a verification; ``result`` is as in ``verify.json``."""

    event: Literal["verified"] = "verified"
    image: str
    verdict: Literal["passed", "failed"]
    result: dict[str, Any]


Step = Annotated[StepStarted | StepRunning | StepDone | StepFailed, Field(discriminator="state")]
BuildEvent = Annotated[Step | Note | ArtifactReady | ErrorReported, Field(discriminator="event")]


@dataclass(frozen=True, kw_only=True)
class CustomiseProgress:
    """What the operations do now; ``fraction`` is from 0 to 1."""

    event: Literal["progress"] = "progress"
    detail: str
    fraction: float


@dataclass(frozen=True, kw_only=True)
class SocketFolderMade:
    """libguestfs keeps its sockets in this folder, which must not outlive it."""

    event: Literal["sockets"] = "sockets"
    path: str
    device: int
    inode: int


@dataclass(frozen=True, kw_only=True)
class CheckpointReady:
    """``folder`` has copies of the disks as ``results`` left them."""

    event: Literal["checkpoint"] = "checkpoint"
    folder: str
    results: tuple[OperationResult, ...]


@dataclass(frozen=True, kw_only=True)
class Customised:
    """All operations have been carried out."""

    event: Literal["result"] = "result"
    result: CustomiseResult


@dataclass(frozen=True, kw_only=True)
class CustomisingFailed:
    """An error; ``kind`` is the name of its class."""

    event: Literal["failed"] = "failed"
    kind: str
    message: str
    hint: str | None = None


CustomiseEvent = Annotated[
    CustomiseProgress | SocketFolderMade | CheckpointReady | Customised | CustomisingFailed,
    Field(discriminator="event"),
]


def build_event(line: str) -> BuildEvent | None:
    """The event that a line of a build holds; None for a line that holds none."""
    return _read(_build_events(), line)


def customise_event(line: str) -> CustomiseEvent | None:
    """The event that a line of a customising process holds; None for one that holds none, as the
    last of a killed one."""
    return _read(_customise_events(), line)


def _read(kinds: TypeAdapter[Event], line: str) -> Event | None:
    try:
        # not validate_json: names of files that are no UTF-8 come as lone surrogates, which only Python's parser takes
        return kinds.validate_python(json.loads(line))
    except ValueError:
        return None


@cache
def _build_events() -> TypeAdapter[BuildEvent]:
    return TypeAdapter(BuildEvent)


@cache
def _customise_events() -> TypeAdapter[CustomiseEvent]:
    return TypeAdapter(CustomiseEvent)


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
