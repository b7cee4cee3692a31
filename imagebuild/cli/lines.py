"""The steps of a build as text, for every kind of report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from imagebuild.cli.output import shown
from imagebuild.log import redact
from imagebuild.progress import ResultSource

QUIET = 30.0
"""Seconds without news after which a report says what a step waits for."""
_LATER = 300.0
"""The most seconds between two such reports of one step."""


def minutes(seconds: float) -> str:
    """Seconds as ``1:05``."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def rounded(seconds: float | None) -> float | None:
    """Seconds, rounded for JSON."""
    return None if seconds is None else round(seconds, 1)


def clock(seconds: float, expected: float | None) -> str:
    """``0:14 of ~0:35``, or only ``0:14`` without an expected time."""
    return minutes(seconds) if expected is None else f"{minutes(seconds)} of ~{minutes(expected)}"


def line(recipe: str, step: str, text: str, seconds: float, expected: float | None = None) -> str:
    """A log line: for how long a step has run, and what it does or did."""
    return f"{shown(recipe)}  {shown(step):<9} {clock(seconds, expected):>6}  {shown(text)}".rstrip()


@dataclass
class RunningStep:
    """The state of a running step that every reporter needs.

    ``moved`` is when it last reported anything, by ``now``; ``waiting`` what it then waits for.
    """

    recipe: str
    name: str
    expected: float | None = None
    now: Callable[[], float] = time.monotonic
    began: float = field(default=0.0, init=False)
    moved: float = field(default=0.0, init=False)
    text: str = field(default="", init=False)
    source: ResultSource = field(default="made", init=False)
    detail: str = field(default="", init=False)
    fraction: float | None = field(default=None, init=False)
    waiting: str = field(default="", init=False)
    _due: float = field(default=QUIET, init=False)

    def __post_init__(self) -> None:
        self.began = self.moved = self.now()

    def update(self, detail: str = "", fraction: float | None = None, waiting: str = "") -> None:
        self.detail, self.fraction, self.waiting = redact(detail), fraction, redact(waiting)
        self.moved, self._due = self.now(), QUIET

    def summary(self, text: str, source: ResultSource = "made") -> None:
        self.text, self.source = redact(text), source

    @property
    def seconds(self) -> float:
        return self.now() - self.began

    @property
    def quiet(self) -> float:
        """Seconds since it last reported anything."""
        return self.now() - self.moved

    @property
    def blocked_by(self) -> str:
        """What it waits for, as far as it has said."""
        if self.waiting:
            return f"waiting for {self.waiting}"
        return self.detail or "it has not said what it does"

    def overdue(self) -> str:
        """What to report because nothing has moved for ``QUIET`` seconds, and less and less often
        after that; empty if nothing is due.
        """
        if self.quiet < self._due:
            return ""
        self._due = self.quiet + min(self.quiet, _LATER)
        return f"nothing new for {minutes(self.quiet)}: {self.blocked_by}"
