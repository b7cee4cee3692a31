"""How a build's progress reaches the user: live on a terminal, plain lines elsewhere, JSON lines on
request.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from imagebuild import events
from imagebuild.cli.lines import RunningStep, line, rounded
from imagebuild.cli.output import echo, echo_data
from imagebuild.errors import ImageBuildError
from imagebuild.progress import Reporter

_HEARTBEAT = 15.0
"""Seconds between two lines of one step where there is no terminal."""


def reporter(*, as_json: bool, quiet: bool, live_only: bool = False) -> Reporter:
    """The reporter that suits the options and standard output; with ``live_only``, for a command
    whose output is its result, nothing is reported except on a terminal.
    """
    if as_json:
        return JsonReporter()
    if quiet:
        return PlainReporter(lambda line: None)
    if not sys.stdout.isatty():
        return PlainReporter(echo if not live_only else lambda line: None)
    from imagebuild.cli.terminal import TerminalReporter  # importing rich is slow

    return TerminalReporter()


class PlainReporter:
    """Prints a line when a step ends, and occasionally one while it runs: for logs."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit

    @contextmanager
    def step(self, recipe: str, name: str, expected: float | None = None) -> Iterator[RunningStep]:
        step = _PlainStep(recipe, name, expected, emit=self._emit)
        try:
            yield step
        except BaseException:
            self._emit(line(recipe, name, "failed" if not step.detail else f"failed at: {step.detail}", step.seconds))
            raise
        self._emit(line(recipe, name, step.text, step.seconds))

    def note(self, recipe: str, text: str) -> None:
        self._emit(f"{recipe}  {text}")


@dataclass(kw_only=True)
class _PlainStep(RunningStep):
    emit: Callable[[str], None]
    _reported: float = field(default_factory=time.monotonic)

    def update(self, detail: str = "", fraction: float | None = None) -> None:
        super().update(detail, fraction)
        now = time.monotonic()
        if now - self._reported >= _HEARTBEAT:
            self._reported = now
            percent = f" ({fraction:.0%})" if fraction is not None else ""
            text = f"… {self.detail}{percent}"
            self.emit(line(self.recipe, self.name, text, self.seconds, self.expected))


class JsonReporter:
    """One JSON object per line on standard output: ``step`` events with ``state`` started, running,
    done or failed.
    """

    @contextmanager
    def step(self, recipe: str, name: str, expected: float | None = None) -> Iterator[RunningStep]:
        step = _JsonStep(recipe, name, expected, emit=self.emit)
        self.emit(events.StepStarted(recipe=recipe, step=name, expected_seconds=rounded(expected)))
        try:
            yield step
        except BaseException as error:
            cause = error.message if isinstance(error, ImageBuildError) else type(error).__name__
            self.emit(events.StepFailed(recipe=recipe, step=name, error=cause, seconds=round(step.seconds, 1)))
            raise
        self.emit(events.StepDone(recipe=recipe, step=name, summary=step.text, seconds=round(step.seconds, 1)))

    def note(self, recipe: str, text: str) -> None:
        self.emit(events.Note(recipe=recipe, text=text))

    def emit(self, event: events.AnyEvent) -> None:
        """Print one event."""
        echo_data(events.data(event))


@dataclass(kw_only=True)
class _JsonStep(RunningStep):
    emit: Callable[[events.BuildEvent], None]
    _reported: tuple[str, int | None] = ("", None)

    def update(self, detail: str = "", fraction: float | None = None) -> None:
        super().update(detail, fraction)
        state = (self.detail, None if fraction is None else int(fraction * 20))
        if state != self._reported:
            self._reported = state
            self.emit(events.StepRunning(recipe=self.recipe, step=self.name, detail=self.detail, fraction=fraction))
