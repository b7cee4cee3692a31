"""What a process reports to the one that started it: one JSON object per line, each of them one of
these classes.

``build --json`` prints a BuildEvent per line, for the user's programs and for a build of several
images alike. The process that works on a disk reports a CustomiseEvent per line. A field that is
added needs a default, so that older lines can still be read.

What commands print with ``--json`` is a JsonLine per line; cli/json_output.py lists them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter

from imagebuild.json_lines import AnyEvent as AnyEvent
from imagebuild.json_lines import ArtifactReady as ArtifactReady
from imagebuild.json_lines import ErrorReported as ErrorReported
from imagebuild.json_lines import JsonLine as JsonLine
from imagebuild.json_lines import Note as Note
from imagebuild.json_lines import StepDone as StepDone
from imagebuild.json_lines import StepFailed as StepFailed
from imagebuild.json_lines import StepRunning as StepRunning
from imagebuild.json_lines import StepStarted as StepStarted
from imagebuild.json_lines import data as data
from imagebuild.schema.customised import CustomiseResult, OperationResult

Event = TypeVar("Event")


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
