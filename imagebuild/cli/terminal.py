"""A build's progress on a terminal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from imagebuild.cli.lines import RunningStep, clock, line
from imagebuild.cli.output import shown


class TerminalReporter:
    """Shows a bar for each running step, and a permanent line when the step has ended."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._progress: Progress | None = None
        self._running = 0
        self._lock = threading.Lock()

    @contextmanager
    def step(self, recipe: str, name: str, expected: float | None = None) -> Iterator[RunningStep]:
        progress = self._enter()
        task = progress.add_task(shown(f"{recipe}  {name:<9}"), total=None, detail="", expected=expected)
        step = _TerminalStep(recipe, name, expected, progress=progress, task=task)
        try:
            yield step
        except BaseException:
            self._leave(task, _text(line(recipe, name, f"failed {step.detail}", step.seconds), style="red"))
            raise
        self._leave(task, _text(line(recipe, name, step.text, step.seconds)))

    def note(self, recipe: str, text: str) -> None:
        self._console.print(_text(f"{recipe}  {text}"))

    def _enter(self) -> Progress:
        with self._lock:
            if self._progress is None:
                self._progress = Progress(
                    TextColumn("{task.description}", markup=False),
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

    def _leave(self, task: TaskID, text: Text) -> None:
        with self._lock:
            assert self._progress is not None
            self._progress.remove_task(task)
            self._console.print(text)
            self._running -= 1
            if self._running == 0:
                self._progress.stop()
                self._progress = None


def _text(text: str, style: str = "") -> Text:
    """Text for rich, which would pass on escape sequences and interpret ``[red]`` in a plain string
    as markup.
    """
    return Text(shown(text), style=style)


class _Elapsed(TextColumn):
    def render(self, task: Any) -> Text:
        return _text(clock(task.elapsed or 0, task.fields["expected"]).rjust(6))


@dataclass(kw_only=True)
class _TerminalStep(RunningStep):
    progress: Progress
    task: TaskID

    def update(self, detail: str = "", fraction: float | None = None) -> None:
        super().update(detail, fraction)
        total, completed = (None, 0.0) if fraction is None else (1.0, fraction)
        self.progress.update(self.task, total=total, completed=completed, detail=shown(self.detail)[:48])
