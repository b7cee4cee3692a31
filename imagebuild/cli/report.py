"""How a build's progress reaches the user: live on a terminal, plain lines elsewhere, JSON lines on request."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from imagebuild.errors import ImageBuildError
from imagebuild.log import redact
from imagebuild.progress import Reporter

_HEARTBEAT = 15.0
"""Seconds between two lines of one step where there is no terminal."""


def reporter(*, as_json: bool, quiet: bool) -> Reporter:
    """The reporter that fits where standard output goes."""
    if as_json:
        return JsonReporter()
    console = Console(highlight=False, soft_wrap=True, quiet=quiet)
    if console.is_terminal and not quiet:
        return TerminalReporter(console)
    return PlainReporter(console)


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


def _line(recipe: str, step: str, text: str, seconds: float, expected: float | None = None) -> str:
    return f"{recipe}  {step:<9} {text:<48} {clock(seconds, expected):>6}"


@dataclass
class _Step:
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


class PlainReporter:
    """A line when a step ends, and now and then one while it runs: for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, recipe: str, name: str, expected: float | None = None) -> Iterator[_Step]:
        step = _PlainStep(recipe, name, expected, console=self._console)
        try:
            yield step
        except BaseException:
            self._print(_line(recipe, name, "failed" if not step.detail else f"failed at: {step.detail}", step.seconds))
            raise
        self._print(_line(recipe, name, step.text, step.seconds))

    def note(self, recipe: str, text: str) -> None:
        self._print(f"{recipe}  {redact(text)}")

    def _print(self, line: str) -> None:
        self._console.print(Text(line))


@dataclass(kw_only=True)
class _PlainStep(_Step):
    console: Console
    _told: float = field(default_factory=time.monotonic)

    def update(self, detail: str = "", fraction: float | None = None) -> None:
        super().update(detail, fraction)
        now = time.monotonic()
        if now - self._told >= _HEARTBEAT:
            self._told = now
            percent = f" ({fraction:.0%})" if fraction is not None else ""
            text = f"… {self.detail}{percent}"
            self.console.print(Text(_line(self.recipe, self.name, text, self.seconds, self.expected)))


class TerminalReporter:
    """A bar per running step, and a line that stays when it has ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._running = 0
        self._lock = threading.Lock()

    @contextmanager
    def step(self, recipe: str, name: str, expected: float | None = None) -> Iterator[_Step]:
        progress = self._enter()
        task = progress.add_task(f"{recipe}  {name:<9}", total=None, detail="", expected=expected)
        step = _TerminalStep(recipe, name, expected, progress=progress, task=task)
        try:
            yield step
        except BaseException:
            self._leave(task, Text(_line(recipe, name, f"failed {step.detail}", step.seconds), style="red"))
            raise
        self._leave(task, Text(_line(recipe, name, step.text, step.seconds)))

    def note(self, recipe: str, text: str) -> None:
        self._console.print(Text(f"{recipe}  {redact(text)}"))

    def _enter(self) -> Progress:
        with self._lock:
            if self._progress is None:
                self._progress = Progress(
                    TextColumn("{task.description}"),
                    TextColumn("{task.fields[detail]:<48}", markup=False),
                    _Elapsed(""),
                    BarColumn(bar_width=20),
                    console=self._console,
                    transient=True,
                    refresh_per_second=4,
                )
                self._progress.start()
            self._running += 1
            return self._progress

    def _leave(self, task: TaskID, line: Text) -> None:
        with self._lock:
            assert self._progress is not None
            self._progress.remove_task(task)
            self._console.print(line)
            self._running -= 1
            if self._running == 0:
                self._progress.stop()
                self._progress = None


class _Elapsed(TextColumn):
    def render(self, task: Any) -> Text:
        return Text(clock(task.elapsed or 0, task.fields["expected"]).rjust(6))


@dataclass(kw_only=True)
class _TerminalStep(_Step):
    progress: Progress
    task: TaskID

    def update(self, detail: str = "", fraction: float | None = None) -> None:
        super().update(detail, fraction)
        total, completed = (None, 0.0) if fraction is None else (1.0, fraction)
        self.progress.update(self.task, total=total, completed=completed, detail=self.detail[:48])


class JsonReporter:
    """One JSON object per line on standard output: ``step`` events with ``state`` started, running, done or failed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def step(self, recipe: str, name: str, expected: float | None = None) -> Iterator[_Step]:
        step = _JsonStep(recipe, name, expected, tell=self.tell)
        self.tell(event="step", recipe=recipe, step=name, state="started", expected_seconds=rounded(expected))
        try:
            yield step
        except BaseException as error:
            cause = error.message if isinstance(error, ImageBuildError) else type(error).__name__
            self.tell(
                event="step", recipe=recipe, step=name, state="failed", error=cause, seconds=round(step.seconds, 1)
            )
            raise
        self.tell(
            event="step", recipe=recipe, step=name, state="done", summary=step.text, seconds=round(step.seconds, 1)
        )

    def note(self, recipe: str, text: str) -> None:
        self.tell(event="note", recipe=recipe, text=text)

    def tell(self, **event: Any) -> None:
        """Print one event."""
        line = redact(json.dumps(event))
        with self._lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


@dataclass(kw_only=True)
class _JsonStep(_Step):
    tell: Callable[..., None]
    _told: tuple[str, int | None] = ("", None)

    def update(self, detail: str = "", fraction: float | None = None) -> None:
        super().update(detail, fraction)
        state = (self.detail, None if fraction is None else int(fraction * 20))
        if state != self._told:
            self._told = state
            self.tell(
                event="step", recipe=self.recipe, step=self.name, state="running", detail=self.detail, fraction=fraction
            )
