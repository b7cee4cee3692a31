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
from imagebuild.build.remote_results import RemoteResults
from imagebuild.errors import HostError
from imagebuild.progress import Progress, Reporter
from imagebuild.remote.opening import RemoteSettings
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
    remote: RemoteSettings | None = None
    """The store that this one shares its entries with."""


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
        remote: RemoteResults | None = None,
    ) -> None:
        """``label`` is the recipe's name, ``work`` the run's folder; ``expected`` are the expected
        seconds of steps. Until ``held`` is closed, nobody removes the entries that were taken.
        """
        self._remote = remote or RemoteResults()
        self.label = label
        self.settings = settings
        self.reporter = reporter
        self.work = work
        self._held = held
        self._expected = expected
        self._seconds: dict[str, float] = {}
        self._fresh: set[str] = set()
        """The fingerprints of what this run has made: once is enough for --refresh."""

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
        if self.settings.refresh and step.fingerprint not in self._fresh:
            return None
        return self.settings.store.take(step.kind, step.fingerprint, self._held)

    def fetch(self, step: Step) -> Path | None:
        """The verified entry of a step, if this store has it or the remote store does."""
        if found := self.find(step):
            return found
        if (self.settings.refresh and step.fingerprint not in self._fresh) or not self._remote.has(step):
            return None
        with self._reported(step) as progress:
            if not self._remote.pull(step, self.settings.store, progress):
                progress.summary("not from the remote store")
        return self._arrived(step)

    def _arrived(self, step: Step) -> Path | None:
        """An entry that has been verified while it arrived."""
        return self.settings.store.take(step.kind, step.fingerprint, self._held, prove=False)

    def made(self, step: Step) -> None:
        """Report that an entry was made, which others may want."""
        self._remote.push_later(step, self.settings.store)

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

    def make(self, step: Step, fill: Callable[[Path, Progress], str], known: Path | None = None) -> Path:
        """The entry of a step. If it is missing, ``fill`` makes it in the given folder and returns
        a summary.

        The entry then becomes the current one. ``known`` is as for :meth:`Store.make`.
        """
        made = self._made(step, fill, known)
        freshness.in_force(self.settings.store, step.inputs)
        return made

    def _made(self, step: Step, fill: Callable[[Path, Progress], str], known: Path | None) -> Path:
        store = self.settings.store
        if found := self.find(step):
            return found
        with self._reported(step) as progress:
            lock = f"{step.kind}-{step.fingerprint[:16]}"
            with store.locked(lock, lambda pid: progress.update(f"waiting for process {pid}, which is making it")):
                if found := self.find(step):
                    progress.summary("made by another build meanwhile", "store")
                    return found
                if self._remote.pull(step, store, progress) and (found := self._arrived(step)):
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
                        known=known,
                    ) as folder,
                ):
                    progress.summary(fill(folder, progress))
        self._fresh.add(step.fingerprint)
        made = self._arrived(step)
        if made is None:
            raise HostError(
                f"the result of {step.name} disappeared right after it was made",
                f"does something remove files in {store.root}?",
            )
        self.made(step)
        return made
