"""The state that the steps of one build share."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from imagebuild.build.plan import Plan
from imagebuild.build.remote_results import RemoteResults
from imagebuild.build.step_cache import Settings, StepCache
from imagebuild.progress import Reporter
from imagebuild.recipe.model.recipe import Recipe


@dataclass(frozen=True)
class Job:
    """One run of a plan. Steps take store entries and return store entries; the last one returns
    the artifact.
    """

    plan: Plan
    settings: Settings
    reporter: Reporter
    run: str
    work: Path
    """The run's folder, removed at its end."""
    held: ExitStack
    """Closed at the end of the run: until then nobody removes the store entries that it uses."""
    expected: Mapping[str, float] = field(default_factory=dict)
    """Expected seconds of steps, by name."""
    remote: RemoteResults = field(default_factory=RemoteResults)
    """What is taken from a remote store, and given to it."""
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @cached_property
    def cache(self) -> StepCache:
        """The store entries of its steps."""
        name = self.plan.recipe.name
        return StepCache(name, self.settings, self.reporter, self.work, self.held, self.expected, self.remote)

    @property
    def recipe(self) -> Recipe:
        """The recipe that is built."""
        return self.plan.recipe

    @property
    def logs(self) -> Path:
        """The folder for the logs of this run."""
        return self.work / "logs"
