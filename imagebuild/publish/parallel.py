"""Works on several targets in parallel: one that fails stops no other, and an interruption ends all."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from imagebuild.errors import ImageBuildError, Interrupted, from_os
from imagebuild.host import process
from imagebuild.log import logger
from imagebuild.progress import SILENT, Progress, Reporter
from imagebuild.publish.places import TargetPlace
from imagebuild.publish.results import TargetResult, TargetStatus

Result = TypeVar("Result", bound=TargetResult)
JOBS = 4
_PATIENCE = 3.0
"""Seconds after an interruption before the programs that the threads wait for are ended too."""

_GIVE_UP = 30.0
"""Seconds after an interruption in which a target must come to an end."""
_LOOK = 0.1
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


OneTarget = Callable[[TargetPlace, Attempt], Result]
"""The work on one target; may raise ImageBuildError and OSError."""


class _Pending:
    """Calls that several threads make one after the other; ``ended`` is set when none is left."""

    def __init__(self, calls: Sequence[Callable[[], None]]) -> None:
        self.ended = threading.Event()
        self._waiting = deque(calls)
        self._running = 0
        self._lock = threading.Lock()
        if not calls:
            self.ended.set()

    def go_through(self) -> None:
        """Make calls until there are no more; for a thread."""
        while (call := self._next()) is not None:
            try:
                call()
            finally:
                self._finish()

    def drop(self) -> None:
        """Forget the calls that have not begun."""
        with self._lock:
            self._waiting.clear()
            self._look()

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            if not self._waiting:
                return None
            self._running += 1
            return self._waiting.popleft()

    def _finish(self) -> None:
        with self._lock:
            self._running -= 1
            self._look()

    def _look(self) -> None:
        if not self._waiting and not self._running:
            self.ended.set()


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
        self,
        places: Sequence[TargetPlace],
        verb: str,
        kind: type[Result],
        work: OneTarget[Result],
    ) -> list[Result]:
        """The result of ``work`` for each place, in their order; ``kind`` also holds a failure.

        An interruption (KeyboardInterrupt) ends all work, and is then seen in ``interrupted``.
        """
        done: dict[int, Result] = {}
        attempts: dict[int, Attempt] = {}

        def one(at: int) -> None:
            if not self.stop.is_set():
                attempts[at] = Attempt(places[at].name, self.stop)
                done[at] = self._one(places[at], attempts[at], verb, kind, work)

        self._run([partial(one, at) for at in range(len(places))], verb)
        return [done.get(at) or self._without_end(place, attempts.get(at), kind) for at, place in enumerate(places)]

    def _run(self, calls: Sequence[Callable[[], None]], verb: str) -> None:
        """Make all calls, in threads; after an interruption, only those that have begun.

        Without concurrent.futures, which loses a thread that it starts at the moment of a Ctrl-C and
        waits for threads that hang at the end of the process (seen with Python 3.11), and without
        Thread.join, which marks a running thread as ended if a Ctrl-C comes (CPython issue 90882).
        """
        pending = _Pending(calls)
        try:
            for number in range(min(self.jobs, len(calls))):
                threading.Thread(target=pending.go_through, name=f"{verb}-{number}", daemon=True).start()
            while not pending.ended.wait(_LOOK):
                pass
        except KeyboardInterrupt:
            self.stop.set()
            pending.drop()
            begin = time.monotonic()
            while not pending.ended.wait(_PATIENCE) and time.monotonic() - begin < _GIVE_UP:
                process.stop_all()

    def _one(
        self, place: TargetPlace, attempt: Attempt, verb: str, kind: type[Result], work: OneTarget[Result]
    ) -> Result:
        try:
            with self.reporter.step(place.name, verb) as attempt.step:
                done = self._interruptible(attempt, lambda: work(place, attempt))
                attempt.step.summary(" ".join(filter(None, (done.status, done.version))))
                return done
        except (ImageBuildError, OSError) as error:
            failure = from_os(error) if isinstance(error, OSError) else error
            return self._failed(attempt, kind, failure)
        except Exception as error:  # noqa: BLE001 - a defect seen at one target must not hide what happened at others
            logger.exception("unexpected error at %s", place.name)
            what = f"unexpected {type(error).__name__}: {error}"
            return self._failed(attempt, kind, ImageBuildError(what, "this is a defect; --verbose shows where"))

    def _interruptible(self, attempt: Attempt, call: Callable[[], Result]) -> Result:
        """The result of a call; a program or connection that an
        interruption ended fails in its own way, which is one too."""
        try:
            return call()
        except (ImageBuildError, OSError) as error:
            if not self.stop.is_set() or isinstance(error, Interrupted):
                raise
            logger.info("%s after the interruption: %s", attempt.target, error)
            raise Interrupted(f"interrupted while {attempt.target} was worked on") from error

    def _without_end(self, place: TargetPlace, attempt: Attempt | None, kind: type[Result]) -> Result:
        """The result of a place on which the work did not begin, or did not end."""
        if attempt is None:
            return kind(target=place.name, status="not started", message="interrupted before it began")
        message = "it did not end after the interruption, and was left"
        return kind(**attempt.values("interrupted") | {"message": message})

    def _failed(self, attempt: Attempt, kind: type[Result], error: ImageBuildError) -> Result:
        if self.stop.is_set():
            hint = "run the command again to complete it"
            return kind(**attempt.values("interrupted") | {"message": "interrupted", "hint": hint, "exit_code": 130})
        why = {"message": error.message, "hint": error.hint or "", "exit_code": error.exit_code}
        return kind(**attempt.values("failed") | why)
