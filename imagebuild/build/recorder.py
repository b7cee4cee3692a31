"""Records a build in the history: once when it is planned, and once when it ends."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from imagebuild.build.accelerators import known_accelerator
from imagebuild.log import redact
from imagebuild.store.history import Build, History, Outcome, State, StepRecord

if TYPE_CHECKING:  # an unchanged build is recorded without a plan
    from imagebuild.build.plan import Plan
    from imagebuild.build.step_cache import StepCache
    from imagebuild.recipe.model.recipe import Recipe
    from imagebuild.step import Step
    from imagebuild.store.artifact import Artifact
    from imagebuild.store.store import Store


@dataclass
class Recording:
    """What is known about a build so far; ``cache`` is the cache of its steps, once there is one."""

    store: Store
    recipe: Recipe
    build: Build
    plan: Plan | None = None
    to_run: Collection[str] = ()
    cache: StepCache | None = None

    def planned(self, plan: Plan, to_run: Collection[str]) -> None:
        """Record which steps will run."""
        self.plan, self.to_run = plan, to_run
        self.build = replace(self.build, fingerprint=plan.convert.fingerprint)
        if to_run:
            self._write()

    def finished(self, artifact: Artifact) -> Artifact:
        """Record that the artifact exists, from this build or an earlier one."""
        manifest = artifact.manifest()
        images = (manifest.image, *manifest.extra_images)
        size, virtual_size = sum(one.size for one in images), sum(one.virtual_size for one in images)
        self.build = replace(self.build, version=artifact.version, size=size, virtual_size=virtual_size)
        self.ended("built" if self.to_run else "unchanged")
        return artifact

    def ended(self, outcome: Outcome, error: BaseException | None = None) -> None:
        """Record how the build ended."""
        told = None if error is None else first_line(error)
        self.build = replace(self.build, ended=now(), outcome=outcome, error=told)
        self._write()

    def _write(self) -> None:
        steps = tuple(map(self._step, self.plan.steps)) if self.plan else ()
        accelerator = known_accelerator(self.recipe, self.store)
        History(self.store).put(replace(self.build, steps=steps, accelerator=accelerator))

    def _step(self, step: Step) -> StepRecord:
        seconds = self.cache.seconds.get(step.name) if self.cache else None
        state: State = "cached"
        if seconds is not None:
            state = "run"
        elif step.name in self.to_run and self.build.outcome != "built":
            state = "open"
        return StepRecord(step.name, step.kind, step.fingerprint, state, seconds)


@contextmanager
def recorded(recipe: Recipe, store: Store, run: str) -> Iterator[Recording]:
    """Record the build of ``recipe`` that the block runs; the block reports its result with
    ``Recording.finished``.
    """
    recording = Recording(store, recipe, Build(run=run, recipe=recipe.name, began=now()))
    try:
        yield recording
    except KeyboardInterrupt:
        recording.ended("interrupted")
        raise
    except BaseException as error:
        recording.ended("failed", error)
        raise


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without secrets and without bytes that are not valid
    text.
    """
    line = (str(error) or type(error).__name__).splitlines()[0]
    return redact(line).encode(errors="replace").decode()


def now() -> str:
    """The time, as the history has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
