"""The store entries of the steps of one run: found in the store, or made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

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
    verify: bool | None = None
    """Whether images are verified; None leaves it to the recipe."""
    identity: str = ""
    """The SHA-256 from which the identifiers of the disks are derived, instead of the plan's."""
    looked: Any = None
    """What the recipe's installer would look up, such as the mirror."""


class StepCache:
    """The results of a build's steps, and how long those took that were run."""

    def __init__(
        self,
        label: str,
        settings: Settings,
        reporter: Reporter,
        work: Path,
        held: ExitStack,
        expected: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """``label`` is the recipe's name, ``work`` the run's folder; ``expected`` are the expected
        seconds of steps. Until ``held`` is closed, nobody removes the entries that were taken.
        """
        self.label = label
        self.settings = settings
        self.reporter = reporter
        self.work = work
        self._held = held
        self._expected = expected
        self._seconds: dict[str, float] = {}

    @property
    def seconds(self) -> Mapping[str, float]:
        """Step name → its duration, for the steps that were run to their end here."""
        return MappingProxyType(self._seconds)

    @property
    def store(self) -> Store:
        """The store with the entries."""
        return self.settings.store

    def find(self, step: Step) -> Path | None:
        """The verified entry of a step, if there is one that may be used."""
        return None if self.settings.refresh else self.settings.store.take(step.kind, step.fingerprint, self._held)

    @contextmanager
    def running(self, step: Step) -> Iterator[Progress]:
        """Report a step while it runs, and measure it."""
        with self._reported(step) as progress, self._measured(step):
            yield progress

    def _reported(self, step: Step) -> AbstractContextManager[Progress]:
        return self.reporter.step(self.label, step.name, self._expected.get(step.name))

    @contextmanager
    def _measured(self, step: Step) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self._seconds[step.name] = time.monotonic() - begin

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
        with self._reported(step) as progress:
            lock = f"{step.kind}-{step.fingerprint[:16]}"
            with store.locked(lock, lambda pid: progress.update(f"waiting for process {pid}, which is making it")):
                if found := self.find(step):
                    progress.summary("made by another build meanwhile")
                    return found
                with (
                    self._measured(step),
                    store.make(
                        step.kind,
                        step.fingerprint,
                        within=self.work,
                        label=self.label,
                        inputs=step.inputs,
                        replace=self.settings.refresh,
                    ) as folder,
                ):
                    progress.summary(fill(folder, progress))
        made = store.take(step.kind, step.fingerprint, self._held, prove=False)
        if made is None:
            raise HostError(
                f"the result of {step.name} disappeared right after it was made",
                f"does something remove files in {store.root}?",
            )
        return made
