"""Builds the images of a nightly run: plans all of them, and builds those that are out of date."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from imagebuild.build import engine, scheduler, verdict
from imagebuild.build.engine import Outlook
from imagebuild.build.scheduler import Outcome
from imagebuild.build.step_cache import Settings
from imagebuild.errors import ImageBuildError, Problem, RecipeError, from_os
from imagebuild.events import ErrorReported
from imagebuild.log import logger
from imagebuild.nightly.outcome import NightlyStage
from imagebuild.nightly.selecting import WantedImage, lines, problems
from imagebuild.progress import Progress, Reporter
from imagebuild.recipe.model.recipe import Recipe

_VERIFY = "verify"


@dataclass(frozen=True)
class PlannedImage:
    """An image, and what a build of it would do, or why that is not known."""

    wanted: WantedImage
    outlook: Outlook | None
    error: ImageBuildError | None
    seconds: float

    @property
    def to_build(self) -> bool:
        """Whether something must run."""
        found = self.outlook
        return found is not None and (found.artifact is None or not found.is_latest or bool(found.checks))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What lint says about the recipe."""
        if isinstance(self.error, RecipeError):
            return self.error.problems
        return tuple(self.outlook.plan.warnings) if self.outlook else ()


@dataclass(frozen=True)
class NightlyBuilt:
    """How the build of an image ended: its stages build and verify."""

    stages: tuple[NightlyStage, ...]
    seconds: float


Building = Callable[[Sequence[PlannedImage], "NightlyBuilds", Callable[[Outcome], None]], None]
"""Builds these images, and calls the function with each outcome."""


@dataclass
class FailingSteps:
    """A reporter that passes everything on, and remembers which step of each image failed last."""

    reporter: Reporter
    failed: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def step(self, recipe: str, name: str, expected: float | None = None) -> Iterator[Progress]:
        with self.reporter.step(recipe, name, expected) as progress:
            try:
                yield progress
            except ImageBuildError:
                self.failed[recipe] = name
                raise

    def note(self, recipe: str, text: str) -> None:
        self.reporter.note(recipe, text)


@dataclass(frozen=True)
class NightlyBuilds:
    """How images are built: ``settings`` are those of all, ``jobs`` at the same time."""

    settings: Settings
    reporter: Reporter
    jobs: int | None = None
    verbose: Callable[[str], None] | None = None

    def of(self, wanted: WantedImage) -> Settings:
        """The settings for one image."""
        return replace(self.settings, verify=wanted.verify)

    def plan(self, wanted: WantedImage) -> PlannedImage:
        """What a build of an image would do. Asks the mirrors if the settings say so."""
        begin = time.monotonic()
        outlook, error = None, None
        with self._planning(wanted) as progress:
            try:
                outlook = engine.planned(wanted.recipe, self.of(wanted))
                progress.summary("out of date" if outlook.artifact is None else "up to date")
            except ImageBuildError as failure:
                error = failure
                progress.summary("failed")
            except OSError as failure:
                error = from_os(failure)
                progress.summary("failed")
        return PlannedImage(wanted, outlook, error, round(time.monotonic() - begin, 1))

    @contextmanager
    def _planning(self, wanted: WantedImage) -> Iterator[Progress]:
        with self.reporter.step(wanted.name, "plan") as progress:
            yield progress


def in_processes(planned: Sequence[PlannedImage], builds: NightlyBuilds, ended: Callable[[Outcome], None]) -> None:
    """Build the images, each in a process of its own; a failure stops no other one."""
    by_name = {one.wanted.name: one.wanted for one in planned}

    def words(recipe: Recipe) -> list[str]:
        wanted = by_name[recipe.name]
        return scheduler.words(recipe, builds.of(wanted), wanted.given, verbose=builds.verbose is not None)

    verifies = any(one.wanted.verify for one in planned)
    scheduler.Builds(
        [one.wanted.recipe for one in planned],
        replace(builds.settings, verify=True) if verifies else builds.settings,
        words,
        builds.reporter,
        jobs=builds.jobs or len(os.sched_getaffinity(0)),
        fail_fast=False,
        ended=ended,
        beside=builds.verbose or (lambda line: None),
    ).go()


def unchanged(planned: PlannedImage, *, new: bool) -> NightlyBuilt:
    """The result of an image that is up to date; ``new`` if no earlier run reported its version."""
    assert planned.outlook is not None
    assert planned.outlook.artifact is not None
    build = NightlyStage(stage="build", status="passed" if new else "unchanged", seconds=planned.seconds)
    return NightlyBuilt((build, _verified(planned, new=new)), planned.seconds)


def not_planned(planned: PlannedImage) -> NightlyBuilt:
    """The result of an image whose plan failed."""
    assert planned.error is not None
    return NightlyBuilt((failed("build", planned.error, planned.seconds),), planned.seconds)


def ended(planned: PlannedImage, outcome: Outcome, failing: Mapping[str, str], *, new: bool) -> NightlyBuilt:
    """The result of an image that was built; ``failing`` has the step that failed."""
    name, end, seconds = planned.wanted.name, outcome.end, round(planned.seconds + outcome.seconds, 1)
    if not isinstance(end, ErrorReported):
        build = NightlyStage(stage="build", status="passed" if new else "unchanged", seconds=seconds)
        return NightlyBuilt((build, _verified(planned, new=True)), seconds)
    details = (*lines(end.problems), *end.console, *((f"logs: {end.evidence}",) if end.evidence else ()))
    message = "the recipe has problems" if end.problems else end.message
    stage = NightlyStage(
        stage="build", status="failed", message=message, hint=end.hint or "", details=details, seconds=seconds,
        exit_code=end.exit_code,
    )  # fmt: skip
    if failing.get(name) != _VERIFY:
        return NightlyBuilt((stage,), seconds)
    return NightlyBuilt(
        (NightlyStage(stage="build", status="passed", seconds=seconds), replace(stage, stage=_VERIFY)), seconds
    )


def failed(stage: str, error: ImageBuildError, seconds: float = 0.0) -> NightlyStage:
    """The result of a stage that an error ended."""
    found = problems(error)
    return NightlyStage(
        stage=stage,
        status="failed",
        message="the recipe has problems" if found else error.message,
        hint=error.hint or "",
        details=found,
        seconds=round(seconds, 1),
        exit_code=error.exit_code,
    )


def unexpected(stage: str, error: Exception, seconds: float) -> NightlyStage:
    """The result of a stage that a defect ended: it must not keep other images from being built."""
    logger.exception("unexpected error in %s", stage)
    what = f"unexpected {type(error).__name__}: {error}"
    return failed(stage, ImageBuildError(what, "this is a defect; --verbose shows where"), seconds)


def _verified(planned: PlannedImage, *, new: bool) -> NightlyStage:
    wanted = planned.wanted
    if verdict.wanted(wanted.recipe, asked=wanted.verify):
        return NightlyStage(stage=_VERIFY, status="passed" if new else "unchanged")
    why = verdict.why_not(wanted.recipe) or "not asked for"
    return NightlyStage(stage=_VERIFY, status="skipped", message=why)
