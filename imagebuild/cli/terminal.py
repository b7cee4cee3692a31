"""A build's progress on a terminal."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from imagebuild.cli import rows
from imagebuild.cli.lines import QUIET, RunningStep
from imagebuild.cli.output import shown, terminal_size
from imagebuild.cli.ticker import Ticker
from imagebuild.errors import Interrupted
from imagebuild.progress import ResultSource

_INTERVAL = 0.25
"""Seconds between two pictures."""
_USUAL = (80, 24)
"""The size of a terminal that does not say its own."""


def wraps_again(environment: Mapping[str, str]) -> bool:
    """Whether a terminal that becomes narrower breaks the lines on it again. Most do (VTE, Konsole,
    kitty, iTerm2, tmux, Windows Terminal); xterm, screen and the Linux console cut or keep them.
    """
    term = environment.get("TERM", "")
    old = term == "linux" or (term.startswith("screen") and "TMUX" not in environment)
    return not old and "XTERM_VERSION" not in environment


class TerminalReporter:
    """Shows a row for each running step, and a permanent line when the step has ended.

    ``size`` returns the terminal's columns and rows; it is asked for each picture, so that a new size
    needs no signal handler.
    """

    def __init__(
        self,
        console: Console | None = None,
        size: Callable[[], tuple[int, int] | None] = terminal_size,
        *,
        forced: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True, force_terminal=forced or None)
        self._ascii = not self._console.encoding.lower().startswith("utf")
        self._glyphs = rows.ASCII if self._ascii else rows.UNICODE
        self._size = (lambda: tuple(console.size)) if console else size
        self._now = now
        self._wraps_again = wraps_again(os.environ)
        self._steps: list[RunningStep] = []
        self._live: Live | None = None
        self._drawn: list[int] = []
        self._lock = threading.RLock()
        self._ticker = Ticker(self._look, _INTERVAL)

    @contextmanager
    def step(self, recipe: str, name: str, expected: float | None = None) -> Iterator[RunningStep]:
        step = _TerminalStep(self._safe(recipe), self._safe(name), expected, self._now, safe=self._safe)
        self._enter(step)
        try:
            yield step
        except BaseException as error:
            how = "interrupted" if isinstance(error, KeyboardInterrupt | Interrupted) else "failed"
            self._leave(step, f"{how} {step.detail}".rstrip(), style="red")
            raise
        self._leave(step, step.text)

    def note(self, recipe: str, text: str) -> None:
        with self._lock:
            self._fit()
            for line in rows.note(self._safe(recipe), self._safe(text), self._console.width):
                self._console.print(_text(line))

    def _enter(self, step: RunningStep) -> None:
        with self._lock:
            self._fit()
            self._steps.append(step)
            if self._live is None:
                self._live = Live(
                    get_renderable=lambda: _Picture(self._picture),
                    console=self._console,
                    auto_refresh=False,
                    transient=True,
                )
                self._live.start()
                self._ticker.start()
            self._live.refresh()

    def _leave(self, step: RunningStep, text: str, style: str = "") -> None:
        with self._lock:
            assert self._live is not None
            self._fit()
            self._steps.remove(step)
            self._print_ended(step, text, style)
            if not self._steps:
                self._ticker.stop()
                self._live.stop()
                self._live, self._drawn = None, []

    def _print_ended(self, step: RunningStep, text: str, style: str) -> None:
        for line in rows.ended(step.recipe, step.name, text, step.seconds, self._console.width, self._glyphs):
            self._console.print(_text(line, style))

    def _look(self) -> None:
        with self._lock:
            if self._live is None:
                return
            self._fit()
            for step in self._steps:
                what = step.overdue()
                if what and step.quiet < 2 * QUIET:  # once: after that the row says it
                    self._print_ended(step, what, "yellow")
            self._live.refresh()

    def _fit(self) -> None:
        """Take over a new size of the terminal.

        Rich erases as many rows as it drew. If the terminal has become narrower and has broken these
        again, there are more now, so the others are erased first.
        """
        width, height = self._size() or _USUAL
        before = self._console.width
        if self._live is not None and width < before and self._wraps_again:
            more = sum((cells - 1) // width for cells in self._drawn if cells)
            up = ((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)) * more
            self._console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), *up))
        self._console.size = (width, height)

    def _picture(self, width: int, height: int) -> list[Text]:
        lines = rows.running(self._steps, width, height, self._glyphs)
        self._drawn = [cell_len(line) for line in lines]
        return [_text(line) for line in lines]

    def _safe(self, text: str) -> str:
        """``text`` as the terminal can show it."""
        encoding = self._console.encoding
        return shown(text).encode(encoding, "backslashreplace").decode(encoding)


class _Picture:
    """The rows, drawn for the size that the console has at that moment."""

    def __init__(self, draw: Callable[[int, int], list[Text]]) -> None:
        self._draw = draw

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        yield Group(*self._draw(options.max_width, options.size.height))


def _text(text: str, style: str = "") -> Text:
    """Text for rich, which would pass on escape sequences and interpret ``[red]`` in a plain string
    as markup.
    """
    return Text(shown(text), style=style)


class _TerminalStep(RunningStep):
    def __init__(
        self, recipe: str, name: str, expected: float | None, now: Callable[[], float], *, safe: Callable[[str], str]
    ) -> None:
        super().__init__(recipe, name, expected, now)
        self._safe = safe

    def update(self, detail: str = "", fraction: float | None = None, waiting: str = "") -> None:
        super().update(self._safe(detail), fraction, self._safe(waiting))

    def summary(self, text: str, source: ResultSource = "made") -> None:
        super().summary(self._safe(text), source)
