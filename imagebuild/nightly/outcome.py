"""How a nightly run ended: the record of each image and of the whole, as ``nightly.json`` has it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from imagebuild.errors import HostError
from imagebuild.events import JsonLine

StageName = Literal["recipe", "build", "verify", "gates", "sign", "publish", "prune"]
StageStatus = Literal["passed", "failed", "unchanged", "skipped"]
RunOutcome = Literal["success", "failure", "interrupted"]


@dataclass(frozen=True, kw_only=True)
class NightlyStage:
    """How one stage ended: ``passed`` if it did its work, ``unchanged`` if there was nothing to do,
    ``skipped`` if it was not asked for or something before it failed.

    ``message`` says why, or what it did; ``details`` are further lines, such as the end of a console.
    """

    stage: str
    status: StageStatus
    message: str = ""
    hint: str = ""
    details: tuple[str, ...] = ()
    seconds: float = 0.0
    exit_code: int = 0


@dataclass(frozen=True, kw_only=True)
class NightlyTarget:
    """A place that the image is published to; ``current`` if it has the good version."""

    target: str
    current: bool
    status: str
    message: str = ""
    sent: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ImageFigures:
    """Figures of a version: sizes in bytes, of all images together; ``built`` is UTC (ISO 8601)."""

    size: int = 0
    virtual_size: int = 0
    packages: int = 0
    built: str = ""


@dataclass(frozen=True, kw_only=True)
class NightlyImageResult:
    """What became of an image.

    ``version`` is the newest, which ``latest`` names, and ``new`` whether no earlier run reported it.
    ``good`` is the last version that passed its gates, and ``previous`` the good one before this run.
    ``differences`` counts what differs between the newest version and the good one before it, for
    example ``packages: 2 upgraded``. ``last_success`` is when a run went well for this image (UTC).
    """

    image: str
    version: str = ""
    new: bool = False
    good: str = ""
    previous: str = ""
    differences: tuple[str, ...] = ()
    stages: tuple[NightlyStage, ...] = ()
    targets: tuple[NightlyTarget, ...] = ()
    figures: ImageFigures = ImageFigures()
    seconds: float = 0.0
    last_run: str = ""
    last_success: str = ""

    @property
    def failed(self) -> tuple[NightlyStage, ...]:
        """The stages that failed."""
        return tuple(one for one in self.stages if one.status == "failed")

    @property
    def changed(self) -> bool:
        """Whether there is a new good version."""
        return self.good != self.previous

    def stage(self, name: StageName) -> NightlyStage | None:
        """How a stage ended, if it was reached."""
        return next((one for one in self.stages if one.stage == name), None)


@dataclass(frozen=True, kw_only=True)
class NightlyEnded(JsonLine):
    """The end of a nightly run, and the content of ``nightly.json``.

    Times are in UTC (ISO 8601). ``changed`` has the images with a new good version, ``failed`` those of
    which a stage failed. ``stages`` are those of the whole run: pruning of the store, page, reports,
    metrics, hooks.
    """

    event: Literal["nightly"] = "nightly"
    imagebuild: str
    outcome: RunOutcome
    exit_code: int
    began: str
    ended: str
    seconds: float
    changed: tuple[str, ...]
    failed: tuple[str, ...]
    images: tuple[NightlyImageResult, ...]
    stages: tuple[NightlyStage, ...] = ()


def exit_code(images: Iterable[NightlyImageResult], stages: Iterable[NightlyStage]) -> int:
    """0 if nothing failed; 3 if this host was the reason for every failure; else 1."""
    codes = {one.exit_code for image in images for one in image.failed}
    codes |= {one.exit_code for one in stages if one.status == "failed"}
    if not codes:
        return 0
    return HostError.exit_code if codes == {HostError.exit_code} else 1


def schema() -> dict[str, Any]:
    """The JSON Schema of ``nightly.json``. A later version may add fields; the field ``schema`` says whether
    the others still mean the same.
    """
    from pydantic import TypeAdapter  # takes its time, and most commands print no schema

    made = TypeAdapter(NightlyEnded).json_schema(mode="serialization")
    for one in (made, *made["$defs"].values()):
        one["required"] = list(one["properties"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "Result of imagebuild nightly"}
