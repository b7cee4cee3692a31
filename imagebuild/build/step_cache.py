"""The store entries of the steps of one run: found in the store, or made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from imagebuild.build import freshness
from imagebuild.errors import HostError
from imagebuild.progress import Progress, Reporter
from imagebuild.step import Step
from imagebuild.store.store import Store


@dataclass(frozen=True)
class Settings:
    """Where a build stores its results, and whether it may reuse existing ones."""

    store: Store
    output: Path
    refresh: bool = False
    if_changed: bool = False
    """Check whether the mirror has newer packages; if so, rebuild what contains them."""
    max_age: int | None = None
    """Seconds after which packages are too old."""


@dataclass(frozen=True)
class StepCache:
    """``label`` is the recipe's name, ``work`` the run's folder; ``expected`` are the expected
    seconds of steps.

    Until ``held`` is closed, nobody removes the entries that were taken. ``seconds`` is filled with
    the duration of each step, ``elsewhere`` with the steps that another build made meanwhile.
    """

    label: str
    settings: Settings
    reporter: Reporter
    work: Path
    held: ExitStack
    expected: Mapping[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    elsewhere: set[str] = field(default_factory=set)

    @property
    def store(self) -> Store:
        """The store with the entries."""
        return self.settings.store

    def find(self, step: Step) -> Path | None:
        """The verified entry of a step, if there is one that may be used."""
        return None if self.settings.refresh else self.settings.store.take(step.kind, step.fingerprint, self.held)

    @contextmanager
    def under_way(self, step: Step) -> Iterator[Progress]:
        """Report a step while it runs."""
        begin = time.monotonic()
        with self.reporter.step(self.label, step.name, self.expected.get(step.name)) as progress:
            yield progress
        if step.name not in self.elsewhere:
            self.seconds[step.name] = time.monotonic() - begin

    def make(self, step: Step, fill: Callable[[Path, Progress], str]) -> Path:
        """The entry of a step. If it is missing, ``fill`` makes it in the given folder and returns
        a summary.

        The entry then becomes the current one.
        """
        made = self._made(step, fill)
        freshness.in_force(self.settings.store, step.inputs)
        return made

    def _made(self, step: Step, fill: Callable[[Path, Progress], str]) -> Path:
        store = self.settings.store
        if found := self.find(step):
            return found
        with self.under_way(step) as progress:
            lock = f"{step.kind}-{step.fingerprint[:16]}"
            with store.locked(lock, lambda pid: progress.update(f"waiting for process {pid}, which is making it")):
                if found := self.find(step):
                    progress.summary("made by another build meanwhile")
                    self.elsewhere.add(step.name)
                    return found
                with store.make(
                    step.kind,
                    step.fingerprint,
                    within=self.work,
                    label=self.label,
                    inputs=step.inputs,
                    replace=self.settings.refresh,
                ) as folder:
                    progress.summary(fill(folder, progress))
        made = store.take(step.kind, step.fingerprint, self.held, prove=False)
        if made is None:
            raise HostError(
                f"the result of {step.name} disappeared right after it was made",
                f"does something remove files in {store.root}?",
            )
        return made
