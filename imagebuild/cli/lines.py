"""A step of a build in words, for every kind of report."""

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
    """Seconds as JSON has them."""
    return None if seconds is None else round(seconds, 1)


def clock(seconds: float, expected: float | None) -> str:
    """``0:14 of ~0:35``, or only ``0:14`` where nothing is expected."""
    return minutes(seconds) if expected is None else f"{minutes(seconds)} of ~{minutes(expected)}"


def line(recipe: str, step: str, text: str, seconds: float, expected: float | None = None) -> str:
    """A line of a log: what a step does or did, and since when."""
    return f"{shown(recipe)}  {shown(step):<9} {shown(text):<48} {clock(seconds, expected):>6}"


@dataclass
class RunningStep:
    """What every reporter keeps of a running step."""

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
