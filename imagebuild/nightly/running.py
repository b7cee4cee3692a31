"""A whole nightly run: lock, plan, build, then each image to its end, then what is once for all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path

import imagebuild
from imagebuild.build import engine
from imagebuild.build.scheduler import Outcome
from imagebuild.errors import ImageBuildError, Interrupted, Problem, RecipeError, UsageError, from_os
from imagebuild.nightly import building, hooks, report_files, stages
from imagebuild.nightly.building import FailingSteps, NightlyBuilds, NightlyBuilt, PlannedImage
from imagebuild.nightly.image_run import ImageRun, Surroundings
from imagebuild.nightly.outcome import NightlyEnded, NightlyImageResult, NightlyStage, RunOutcome, exit_code
from imagebuild.nightly.selecting import BrokenImage, Selected
from imagebuild.project.nightly import Nightly, NightlyPage
from imagebuild.store.artifact import ArtifactFolder
from imagebuild.store.store import Store


@dataclass
class NightlyRun:
    """One run over the selected images."""

    selected: Selected
    around: Surroundings
    builds: NightlyBuilds
    build: building.Building = building.in_processes
    _results: dict[str, NightlyImageResult] = field(default_factory=dict)
    _problems: list[Problem] = field(default_factory=list)
    _stages: list[NightlyStage] = field(default_factory=list)
    _built: bool = False
    _began: str = field(default_factory=lambda: _now())
    _begin: float = field(default_factory=time.monotonic)

    def go(self) -> NightlyEnded:
        """Everything; an interruption ends it early, with the outcome ``interrupted``.

        Raises HostError if another run is at work, and UsageError before anything is done.
        """
        with self.around.journal.alone():
            for wanted in self.selected.wanted:
                self.around.publisher.check(wanted)
            self._check_accepted()
            report_files.clear(self.around.reports, self._metrics_file)
            engine.clear_dead_runs(self.builds.settings.store)
            try:
                self._images()
                self._once_for_all()
                return self._finished()
            except (KeyboardInterrupt, Interrupted):  # also while a hook runs
                return self._interrupted()

    def _check_accepted(self) -> None:
        """Raise UsageError for an image of ``--accept`` without a version that was refused."""
        for name in sorted(self.around.accept):
            judgement = self.around.journal.read(name).judgement
            latest = ArtifactFolder(self.around.output, name).latest()
            if judgement is None or judgement.passed or latest is None or latest.version != judgement.version:
                raise UsageError(
                    f"--accept {name}: no gate has refused its latest version", "`imagebuild nightly` shows what failed"
                )

    def _images(self) -> None:
        for broken in self.selected.broken:
            self._broken(broken)
        planned = [self.builds.plan(one) for one in self.selected.wanted]
        self._problems += [problem for one in planned for problem in one.problems]
        by_name = {one.wanted.name: one for one in planned}
        ready = {name: self._ready(one) for name, one in by_name.items() if not one.to_build}
        for name, built in ready.items():
            self._after_build(by_name[name], built)
        to_build = [one for one in planned if one.to_build]
        if to_build:
            self._build(to_build, by_name)

    def _ready(self, planned: PlannedImage) -> NightlyBuilt:
        if planned.error is not None:
            return building.not_planned(planned)
        assert planned.outlook is not None
        assert planned.outlook.artifact is not None
        return building.unchanged(planned, new=self._is_new(planned.wanted.name, planned.outlook.artifact.version))

    def _build(self, to_build: Sequence[PlannedImage], by_name: Mapping[str, PlannedImage]) -> None:
        """Build; each image goes on as soon as it is built, while others are still being built."""
        self.around.journal.will_build()
        self._built = True
        failing = FailingSteps(self.builds.reporter)

        def ended(outcome: Outcome) -> None:
            planned = by_name[outcome.recipe]
            latest = ArtifactFolder(self.around.output, outcome.recipe).latest()
            new = latest is not None and self._is_new(outcome.recipe, latest.version)
            self._after_build(planned, building.ended(planned, outcome, failing.failed, new=new))

        self.build(to_build, replace(self.builds, reporter=failing), ended)

    def _is_new(self, name: str, version: str) -> bool:
        return self._last(name).version != version

    def _last(self, name: str) -> NightlyImageResult:
        """The result of an image in the last run that came to its end."""
        return self._before.get(name) or NightlyImageResult(image=name)

    @cached_property
    def _before(self) -> Mapping[str, NightlyImageResult]:
        return self.around.journal.last()

    def _after_build(self, planned: PlannedImage, built: NightlyBuilt) -> None:
        """All further stages of an image; its result is known even if it is interrupted."""
        name = planned.wanted.name
        begin = time.monotonic()
        image = ImageRun(self.around, planned.wanted, self.around.journal.read(name), self._last(name))
        try:
            image.go(built)
        finally:
            self._results[name] = image.result(built.seconds + time.monotonic() - begin, self._began, _now())

    def _broken(self, broken: BrokenImage) -> None:
        if isinstance(broken.error, RecipeError):
            self._problems += broken.error.problems
        last = self._last(broken.name)
        stage = building.failed("recipe", broken.error)
        self._results[broken.name] = replace(
            last, new=False, previous=last.good, stages=(stage,), targets=(), seconds=0.0, last_run=self._began
        )

    def _once_for_all(self) -> None:
        """Prune, write the page."""
        config, names = self.config, [one.name for one in self.selected.wanted]
        store = self.builds.settings.store
        keep = config.keep.versions
        if keep is not None:
            self._stage("versions", lambda: _removed(stages.remove_versions(self.around.output, store, names, keep)))
        if self.around.journal.to_collect:
            self._stage("store", self._collect)
        if config.page is not None:
            self._stage("page", partial(self._page, config.page, store))

    def _page(self, config: NightlyPage, store: Store) -> str:
        from imagebuild.nightly.page_stage import PageStage  # not every project has a page

        around = self.around
        destination = around.publisher.project.folder / config.folder
        page = PageStage(around.output, destination, config, around.journal, store, self.builds.reporter)
        return page.write(built=self._built)

    def _collect(self) -> str:
        keep = self.config.keep
        number = stages.collect(self.builds.settings.store, keep.results, keep.store_size)
        self.around.journal.collected()
        return _removed(number)

    def _finished(self) -> NightlyEnded:
        """Write reports and metrics, run the hooks, and remember the results."""
        result = self._ended()
        folder = self.around.reports
        self._stage("reports", lambda: report_files.write(folder, result, self._problems), only_failure=True)
        self._write_metrics()
        before = self._ended()
        ran = hooks.run(self.config.hooks, before, self.around.publisher.project.folder, self.builds.reporter)
        self._stages += ran
        if any(one.status == "failed" for one in ran):
            self._write_metrics()
        if ran:
            result = self._ended()
            self._stage("reports", lambda: report_files.write_result(folder, result), only_failure=True)
        self._stage("journal", lambda: self.around.journal.end(self._results), only_failure=True)
        return self._ended()

    def _interrupted(self) -> NightlyEnded:
        """Write down how far it came; the next run goes on from there."""
        for wanted in self.selected.wanted:
            if wanted.name not in self._results:
                image = ImageRun(self.around, wanted, self.around.journal.read(wanted.name), self._last(wanted.name))
                image.not_built("interrupted")
                self._results[wanted.name] = image.result(0.0, self._began, _now())
        for name, one in self._results.items():
            self._results[name] = replace(one, last_success=self._last(name).last_success)
        result = self._ended("interrupted")
        self._stage("reports", lambda: report_files.write(self.around.reports, result, self._problems))
        return self._ended("interrupted")

    def _write_metrics(self) -> None:
        """Write the metrics, if they are asked for."""
        path = self._metrics_file
        if path is not None:
            others = [one for name, one in self._before.items() if name not in self._results]
            ended = self._ended()
            self._stage("metrics", lambda: report_files.write_metrics(path, ended, others), only_failure=True)

    @property
    def _metrics_file(self) -> Path | None:
        name = self.config.metrics
        return None if name is None else self.around.publisher.project.folder / name

    def _ended(self, outcome: RunOutcome | None = None) -> NightlyEnded:
        images = tuple(self._results[name] for name in self._order() if name in self._results)
        code = Interrupted.exit_code if outcome == "interrupted" else exit_code(images, self._stages)
        return NightlyEnded(
            imagebuild=imagebuild.__version__,
            outcome=outcome or ("failure" if code else "success"),
            exit_code=code,
            began=self._began,
            ended=_now(),
            seconds=round(time.monotonic() - self._begin, 1),
            changed=tuple(one.image for one in images if one.changed),
            failed=tuple(one.image for one in images if one.failed),
            images=images,
            stages=tuple(self._stages),
        )

    def _order(self) -> list[str]:
        return [*(one.name for one in self.selected.wanted), *(one.name for one in self.selected.broken)]

    def _stage(self, name: str, work: Callable[[], str | None], *, only_failure: bool = False) -> None:
        """Do something for the whole run; an error is a failed stage, and stops no other one."""
        begin = time.monotonic()
        with _failure(name, self._stages, begin):
            said = work() or ""
            if not only_failure:
                seconds = round(time.monotonic() - begin, 1)
                self._stages.append(NightlyStage(stage=name, status="passed", message=said, seconds=seconds))

    @property
    def config(self) -> Nightly:
        """The section of the project's file."""
        return self.around.publisher.project.nightly


@contextmanager
def _failure(name: str, found: list[NightlyStage], begin: float) -> Iterator[None]:
    try:
        yield
    except Interrupted:
        raise
    except ImageBuildError as error:
        found.append(building.failed(name, error, time.monotonic() - begin))
    except OSError as error:
        found.append(building.failed(name, from_os(error), time.monotonic() - begin))
    except Exception as error:  # noqa: BLE001 - see building.unexpected
        found.append(building.unexpected(name, error, time.monotonic() - begin))


def _removed(number: int) -> str:
    return f"{number} removed" if number else ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
