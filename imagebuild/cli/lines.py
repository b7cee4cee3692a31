"""The steps of a build as text, for every kind of report."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from imagebuild.cli.output import shown
from imagebuild.log import redact


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
    """A log line: what a step does or did, and for how long."""
    return f"{shown(recipe)}  {shown(step):<9} {shown(text):<48} {clock(seconds, expected):>6}"


@dataclass
class RunningStep:
    """The state of a running step that every reporter needs."""

    recipe: str
    name: str
    expected: float | None = None
    began: float = field(default_factory=time.monotonic)
    text: str = ""
    detail: str = ""
    fraction: float | None = None

    def update(self, detail: str = "", fraction: float | None = None) -> None:
        self.detail, self.fraction = redact(detail), fraction

    def summary(self, text: str) -> None:
        self.text = redact(text)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began
