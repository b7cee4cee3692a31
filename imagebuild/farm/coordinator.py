"""Builds images on a farm: orders them in the ledger, hands them to workers, and collects artifacts.

The ledger is the truth, and this program only hurries things along: if it dies, the builds that run go
on, and the next run of the same command collects what is done and goes on with what is missing.
"""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from imagebuild.build.scheduler import BuildRelay, Outcome
from imagebuild.build.step_cache import Settings
from imagebuild.errors import HostError, ImageBuildError
from imagebuild.events import ArtifactReady, ErrorReported
from imagebuild.farm import delivery, placement
from imagebuild.farm.cluster import FarmCluster, TaskEnded
from imagebuild.farm.crew import Crew, stuck
from imagebuild.farm.evidence import error_of
from imagebuild.farm.fetches import ArtifactFetches
from imagebuild.farm.order import FarmImage
from imagebuild.farm.request import BuildRequest
from imagebuild.farm.shared import FarmStore
from imagebuild.ledger.claims import MAX_TRIES, LedgerBuild, OrderedImage
from imagebuild.ledger.ledger import Ledger
from imagebuild.progress import Reporter
from imagebuild.store.artifact import MANIFEST

_INTERVAL = 1.0
"""Seconds between two looks at the workers and the ledger."""
_FETCHING = 0.25
"""The same while an artifact is being fetched."""


@dataclass
class _Task:
    """A build that this program has handed to a worker."""

    worker: str
    until: float
    relay: BuildRelay
    fence: int = 0


@dataclass
class FarmBuilds:
    """Builds ``images`` on a farm. ``patience`` is how many seconds a build waits for a worker that
    can do it, while nothing else runs.
    """

    images: Sequence[FarmImage]
    settings: Settings
    cluster: FarmCluster
    ledger: Ledger
    shared: FarmStore
    crew: Crew
    files: Mapping[str, bytes]
    reporter: Reporter
    ended: Callable[[Outcome], None]
    patience: float = 60.0
    max_tries: int = MAX_TRIES
    _open: dict[int, FarmImage] = field(default_factory=dict)
    _tasks: dict[int, _Task] = field(default_factory=dict)
    _unable: dict[int, dict[str, str]] = field(default_factory=dict)
    _outcomes: dict[str, Outcome] = field(default_factory=dict)
    _late: dict[int, float] = field(default_factory=dict)
    _noted: set[int] = field(default_factory=set)
    _began: float = field(default_factory=time.monotonic)
    _stuck_since: float | None = None

    def __post_init__(self) -> None:
        store, output = self.settings.store, self.settings.output
        self._fetches = ArtifactFetches(lambda build: delivery.deliver(build, self.shared, store, output))

    def go(self) -> list[Outcome]:
        """The outcomes, in the order of the images. Raises HostError if the scheduler or the ledger is
        gone; then the same command goes on later.
        """
        wanted = {OrderedImage(one.name, one.fingerprint): one for one in self.images}
        user, host = getpass.getuser(), socket.gethostname()
        _, builds = self.ledger.order(tuple(wanted), asked_by=user, host=host, max_tries=self.max_tries)
        self._open = {build: wanted[image] for image, build in builds.items()}
        try:
            while self._open:
                rows = self.ledger.builds(self._open)
                self._settle(rows)
                if self._open:
                    self._lose()
                    self._start(rows)
                    self._wait()
        finally:
            for build in list(self._tasks):
                self._forget(build, "it goes on without this command")
        return [self._outcomes[one.name] for one in self.images]

    def _settle(self, rows: Mapping[int, LedgerBuild]) -> None:
        """Take what the ledger says is over."""
        for build, row in rows.items():
            image = self._open[build]
            if row.state == "done":
                self._deliver(image, row)
            elif row.state == "failed":
                self._end(build, image, error_of(row))
            elif row.is_held and build not in self._tasks and build not in self._noted:
                self._noted.add(build)
                self.reporter.note(image.name, f"{row.worker} is building it already")

    def _deliver(self, image: FarmImage, row: LedgerBuild) -> None:
        fetched = self._fetches.result(row)
        if fetched is None:
            return None
        artifact, error = fetched.artifact, fetched.error
        if error is not None:
            if isinstance(error, HostError) and self._waits(image, row, error):
                return None
            if not isinstance(error, ImageBuildError | OSError):
                raise error
            hint = error.hint if isinstance(error, ImageBuildError) else None
            code = error.exit_code if isinstance(error, ImageBuildError) else HostError.exit_code
            return self._end(row.id, image, ErrorReported(message=str(error), hint=hint, exit_code=code))
        if artifact is None:
            self.reporter.note(image.name, "its artifact is no longer in the shared store, and is built again")
            return self.ledger.forget(row.id, row.artifact or "")
        manifest = str(artifact.folder / MANIFEST)
        ready = ArtifactReady(
            unchanged=False, recipe=image.name, version=artifact.version, image=str(artifact.image), manifest=manifest
        )
        return self._end(row.id, image, ready)

    def _waits(self, image: FarmImage, row: LedgerBuild, error: HostError) -> bool:
        """Whether to try again to fetch an artifact: the shared store may be away for a moment."""
        now = time.monotonic()
        if row.id not in self._late:
            self._late[row.id] = now
            self.reporter.note(image.name, f"its artifact cannot be fetched yet: {error.message}")
        return now - self._late[row.id] < self.patience

    def _end(self, build: int, image: FarmImage, end: ArtifactReady | ErrorReported) -> None:
        self._forget(build, "ended")
        del self._open[build]
        outcome = Outcome(image.name, time.monotonic() - self._began, replace(end, recipe=image.name))
        self._outcomes[image.name] = outcome
        self.ended(outcome)

    def _forget(self, build: int, why: str) -> None:
        """Stop following a task; steps that its build has not ended are shown as such."""
        task = self._tasks.pop(build, None)
        self.cluster.abandon(build)
        if task is not None:
            task.relay.close(why)

    def _lose(self) -> None:
        """Look at the workers, and give up the tasks of those that are gone."""
        self.crew.look(self.cluster)
        for build, task in list(self._tasks.items()):
            if task.worker not in self.crew.present:
                self.ledger.lose(build, self.crew.holder(task.worker), "the worker was lost")
                self.reporter.note(self._open[build].name, f"{self.crew.name(task.worker)} was lost")
                self._forget(build, "the worker was lost")

    def _start(self, rows: Mapping[int, LedgerBuild]) -> None:
        """Hand out what may start now."""
        now = time.monotonic()
        others = [build for build in self._open if build not in self._tasks and rows[build].state != "done"]
        held = [build for build in others if rows[build].is_held]
        waiting = [self._work(build) for build in others if not rows[build].is_held]
        busy = [(task.worker, self._work(build), task.until) for build, task in self._tasks.items()]
        there = {build: self.crew.address(rows[build].worker) for build in held}
        busy += [(address, self._work(build), now) for build, address in there.items() if address]
        making = {name for build in [*self._tasks, *held] for name in self._work(build).makes}
        states = self.crew.states(busy)
        for work, worker in placement.place(waiting, states, making, now):
            self._submit(_number(work), str(worker), now + work.expected)
        self._give_up(stuck(waiting, states), states, now)

    def _work(self, build: int) -> placement.PlacedWork:
        return self._open[build].work(build, frozenset(self._unable.get(build, ())))

    def _submit(self, build: int, worker: str, until: float) -> None:
        image = self._open[build]
        self._tasks[build] = _Task(worker, until, BuildRelay(image.name, self.reporter))
        request = BuildRequest(
            build=build,
            image=image.name,
            fingerprint=image.fingerprint,
            recipe=image.recipe_word,
            words=image.words,
            states=image.states,
            after=image.newest(self.settings.output),
            topic=self.cluster.topic,
            room=image.room,
            files=self.files,
        )
        self.cluster.submit(request, worker)

    def _give_up(
        self, works: Sequence[placement.PlacedWork], states: Sequence[placement.PlaceState], now: float
    ) -> None:
        """End builds that no worker can do, after some patience: one may still come."""
        if not works:
            self._stuck_since = None
            return
        self._stuck_since = now if self._stuck_since is None else self._stuck_since
        patient = now - self._stuck_since < self.patience
        for work in works:
            build = _number(work)
            failed = self._unable.get(build, {})
            if patient and not (failed and states and all(one.key in failed for one in states)):
                continue
            message = self.crew.why_not(work, states)
            message = f"{message}: {next(reversed(failed.values()))}" if failed else message
            error = ErrorReported(message=message, hint="`imagebuild farm status` shows the workers", exit_code=3)
            self._end(build, self._open[build], error)

    def _wait(self) -> None:
        """Take what arrives from workers, until one has ended, or it is time to look at all again: a line
        of progress is no reason to ask the ledger and the scheduler.
        """
        until, ended = time.monotonic() + (_FETCHING if self._fetches.busy else _INTERVAL), False
        while not ended and (left := until - time.monotonic()) > 0:
            for message in self.cluster.messages(left):
                task = self._tasks.get(message.build)
                if task is None:
                    continue
                if isinstance(message, TaskEnded):
                    self._task_ended(message, task)
                    ended = True
                elif message.fence >= task.fence:
                    task.fence = message.fence
                    task.relay.read(message.line)

    def _task_ended(self, message: TaskEnded, task: _Task) -> None:
        """A task has ended; the ledger says what came of it."""
        build, reply = message.build, message.reply
        name = self._open[build].name
        if reply is None and message.lost:
            self.ledger.lose(build, self.crew.holder(task.worker), "the worker was lost")
            self.reporter.note(name, f"{self.crew.name(task.worker)} was lost")
        elif reply is None:
            if message.message:
                self._unable.setdefault(build, {})[task.worker] = message.message
        elif reply.state == "declined":
            self.crew.rest(task.worker)
            self.reporter.note(name, f"{self.crew.name(task.worker)} declined: {reply.message}")
        elif reply.state == "failed":
            self._unable.setdefault(build, {})[task.worker] = reply.message
            self.reporter.note(name, f"{self.crew.name(task.worker)} could not do it: {reply.message}")
        elif reply.state == "handed back":
            self.reporter.note(name, f"{self.crew.name(task.worker)} handed it back: {reply.message}")
        self._forget(build, "ended early" if reply is None else reply.state)


def _number(work: placement.PlacedWork) -> int:
    assert isinstance(work.key, int)
    return work.key
