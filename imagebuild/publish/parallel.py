"""Works on several targets in parallel: one that fails stops no other, and an interruption ends all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from imagebuild.errors import ImageBuildError, Interrupted, from_os
from imagebuild.host import process
from imagebuild.log import logger
from imagebuild.progress import SILENT, Progress, Reporter
from imagebuild.publish.places import Place
from imagebuild.publish.results import TargetResult, TargetStatus

Result = TypeVar("Result", bound=TargetResult)
JOBS = 4
_PATIENCE = 5.0
"""Seconds after an interruption before the programs that the threads wait for are ended too."""

_LOOK = 0.2
"""Seconds between two looks for a signal: one that comes just before a wait begins does not end it."""


@dataclass
class Attempt:
    """The work on one target while it goes on, so that a failure can say how far it came."""

    target: str
    stop: threading.Event
    step: Progress = SILENT
    phase: str = "open"
    version: str = ""
    previous: str = ""
    sent: int = 0
    began: float = field(default_factory=time.monotonic)

    def enter(self, phase: str, detail: str = "") -> None:
        """Begin a phase. Raises Interrupted."""
        self.check()
        self.phase = phase
        self.step.update(detail or phase)

    def check(self) -> None:
        """Raise Interrupted if the user has ended the command."""
        if self.stop.is_set():
            raise Interrupted(f"interrupted while {self.target} was worked on")

    def update(self, detail: str, done: int, total: int) -> None:
        """Report bytes. Raises Interrupted, which ends a transfer."""
        self.check()
        self.step.update(detail, min(1.0, done / total) if total else None)

    def values(self, status: TargetStatus) -> dict[str, Any]:
        """The fields of a TargetResult that are known now."""
        seconds = round(time.monotonic() - self.began, 1)
        known = {"version": self.version, "previous": self.previous, "phase": self.phase, "sent": self.sent}
        return {"target": self.target, "status": status, "seconds": seconds, **known}


@dataclass
class Work:
    """What the work on several targets shares; ``jobs`` of them are worked on at the same time."""

    reporter: Reporter
    jobs: int = JOBS
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def interrupted(self) -> bool:
        """Whether the user has ended the command."""
        return self.stop.is_set()

    def each(
        self, places: Sequence[Place], verb: str, kind: type[Result], work: Callable[[Place, Attempt], Result]
    ) -> list[Result]:
        """The result of ``work`` for each place, in their order; ``kind`` also holds a failure.

        An interruption (KeyboardInterrupt) ends all work, and is then seen in ``interrupted``.
        """
        done: dict[int, Result] = {}

        def keep(at: int, place: Place) -> None:
            done[at] = self._one(place, verb, kind, work)

        self._run([partial(keep, at, place) for at, place in enumerate(places)], verb)
        return [done.get(at) or self._not_started(place, kind) for at, place in enumerate(places)]

    def _run(self, calls: Sequence[Callable[[], None]], verb: str) -> None:
        """Make all calls, in threads. The executor has a thread of its own, because it loses a thread
        that it starts at the moment of an interruption.
        """
        begun, ended = threading.Event(), threading.Event()

        def execute() -> None:
            begun.set()
            try:
                with ThreadPoolExecutor(self.jobs, thread_name_prefix=verb) as pool:
                    for call in calls:
                        pool.submit(call)
            finally:
                ended.set()

        try:
            threading.Thread(target=execute, daemon=True).start()
            while not ended.wait(_LOOK):
                pass
        except KeyboardInterrupt:
            self.stop.set()  # what begins after this does nothing
            while not ended.wait(_PATIENCE) and begun.is_set():
                process.stop_all()

    def _one(self, place: Place, verb: str, kind: type[Result], work: Callable[[Place, Attempt], Result]) -> Result:
        attempt = Attempt(place.name, self.stop)
        if self.stop.is_set():
            return self._not_started(place, kind)
        try:
            with self.reporter.step(place.name, verb) as attempt.step:
                done = work(place, attempt)
                attempt.step.summary(" ".join(filter(None, (done.status, done.version))))
                return done
        except (ImageBuildError, OSError) as error:
            failure = from_os(error) if isinstance(error, OSError) else error
            return self._failed(attempt, kind, failure)
        except Exception as error:  # noqa: BLE001 - a defect seen at one target must not hide what happened at others
            logger.exception("unexpected error at %s", place.name)
            what = f"unexpected {type(error).__name__}: {error}"
            return self._failed(attempt, kind, ImageBuildError(what, "this is a defect; --verbose shows where"))

    def _not_started(self, place: Place, kind: type[Result]) -> Result:
        return kind(target=place.name, status="not started", message="interrupted before it began")

    def _failed(self, attempt: Attempt, kind: type[Result], error: ImageBuildError) -> Result:
        ended = self.stop.is_set()  # a program or connection that was ended then fails in its own way
        why = {"message": error.message, "hint": error.hint or "", "exit_code": error.exit_code}
        return kind(**attempt.values("interrupted" if ended else "failed") | why)
