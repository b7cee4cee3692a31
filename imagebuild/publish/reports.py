"""What the commands of publishing print with ``--json`` at their end, one of these events each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from imagebuild.events import JsonLine
from imagebuild.publish.instance_record import Instance, Usable
from imagebuild.publish.overview import ListedTarget
from imagebuild.publish.planning import PlannedTarget
from imagebuild.publish.pruning import PruneResult
from imagebuild.publish.results import TargetResult


@dataclass(frozen=True, kw_only=True)
class ReleasePublished(JsonLine):
    """The end of ``publish``."""

    event: Literal["published"] = "published"
    template: str
    version: str
    targets: tuple[TargetResult, ...]


@dataclass(frozen=True, kw_only=True)
class ReleasePlanned(JsonLine):
    """The end of ``publish --dry-run``; ``size`` is that of all files in bytes."""

    event: Literal["planned"] = "planned"
    template: str
    version: str
    size: int
    targets: tuple[PlannedTarget, ...]


@dataclass(frozen=True, kw_only=True)
class TemplateRolledBack(JsonLine):
    """The end of ``rollback``; ``to`` is the version that was asked for, empty for the previous one."""

    event: Literal["rolled back"] = "rolled back"
    template: str
    to: str
    targets: tuple[TargetResult, ...]


@dataclass(frozen=True, kw_only=True)
class TemplatesPruned(JsonLine):
    """The end of ``prune``."""

    event: Literal["pruned"] = "pruned"
    dry_run: bool
    keep: int
    targets: tuple[PruneResult, ...]


@dataclass(frozen=True, kw_only=True)
class TemplatesListed(JsonLine):
    """The end of ``templates``; ``checked`` if all files were read back."""

    event: Literal["templates"] = "templates"
    checked: bool
    targets: tuple[ListedTarget, ...]


@dataclass(frozen=True, kw_only=True)
class TemplateInstantiated(JsonLine):
    """The end of ``instantiate``; ``usable`` is None without ``--wait``."""

    event: Literal["instantiated"] = "instantiated"
    target: str
    instance: Instance
    started: bool
    usable: Usable | None = None


@dataclass(frozen=True, kw_only=True)
class InstanceRemoved(JsonLine):
    """The end of ``instantiate --remove``."""

    event: Literal["removed"] = "removed"
    target: str
    template: str
    name: str


PublishEvent = Annotated[
    ReleasePublished
    | ReleasePlanned
    | TemplateRolledBack
    | TemplatesPruned
    | TemplatesListed
    | TemplateInstantiated
    | InstanceRemoved,
    Field(discriminator="event"),
]


def schema() -> dict[str, Any]:
    """The JSON Schema of these events."""
    kinds: TypeAdapter[Any] = TypeAdapter(PublishEvent)
    return kinds.json_schema(mode="serialization")
