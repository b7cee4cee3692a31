"""What the steps of one build work with."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from imagebuild.build.plan import Plan
from imagebuild.build.step_cache import Settings, StepCache
from imagebuild.progress import Reporter
from imagebuild.recipe.model.recipe import Recipe


@dataclass(frozen=True)
class Job:
    """One run of a plan. Steps take the store's entries and give entries; the last gives the artifact."""

    plan: Plan
    settings: Settings
    reporter: Reporter
    run: str
    work: Path
    """The run's own folder, gone at its end."""
    held: ExitStack
    """Closed when the run is over: until then nobody removes what it has taken from the store."""
    expected: Mapping[str, float] = field(default_factory=dict)
    """Seconds that steps may take, by their names."""
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @cached_property
    def cache(self) -> StepCache:
        """The results of its steps in the store."""
        name = self.plan.recipe.name
        return StepCache(name, self.settings, self.reporter, self.work, self.held, self.expected)

    @property
    def recipe(self) -> Recipe:
        """What is built."""
        return self.plan.recipe

    @property
    def logs(self) -> Path:
        """Where what was said during this run goes."""
        return self.work / "logs"
