"""How a build's progress reaches the user: live on a terminal, plain lines elsewhere, JSON lines on
request.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from imagebuild import json_lines
from imagebuild.cli.lines import RunningStep, line, rounded
from imagebuild.cli.output import echo, echo_data, is_terminal, terminal_size
from imagebuild.cli.progress_options import ProgressChoice, chosen
from imagebuild.cli.sections import GitHubGroups, GitLabSections, Sections
from imagebuild.cli.ticker import Ticker
from imagebuild.errors import ImageBuildError, Interrupted
from imagebuild.progress import Reporter

_HEARTBEAT = 15.0
"""Seconds between two lines of one step where there is no terminal."""
_INTERVAL = 1.0
"""Seconds between two looks at the running steps."""
_SIGN_OF_LIFE = 5.0
"""Seconds after which JSON repeats a step that goes on without a new detail."""


def reporter(*, as_json: bool, quiet: bool, live_only: bool = False, choice: ProgressChoice | None = None) -> Reporter:
    """The reporter that suits the options and standard output; with ``live_only``, for a command
    whose output is its result, nothing is reported except on a terminal, or on standard error if
    lines were asked for. ``choice`` replaces that of the running command.
    """
    if as_json:
        return JsonReporter()
    choice = choice or chosen()
    if quiet or choice.progress == "none":
        return PlainReporter(_nothing)
    dumb = os.environ.get("TERM", "dumb") in ("", "dumb", "unknown")
    live = choice.progress == "rich" or (choice.progress == "auto" and is_terminal() and not _in_ci())
    if live and not dumb:
        from imagebuild.cli.terminal import TerminalReporter  # importing rich is slow

        return TerminalReporter(forced=choice.progress == "rich")
    if live_only:
        return PlainReporter(_to_stderr if choice.progress == "plain" else _nothing)
    return PlainReporter(echo, sections=_sections(choice.sections))


def _nothing(_line: str) -> None:
    pass


def _to_stderr(line: str) -> None:
    echo(line, err=True)


def _in_ci() -> bool:
    """Whether a CI system reads the output, even if it has made a terminal for it."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def _sections(choice: str) -> Sections | None:
    if choice == "auto":
        choice = "gitlab" if os.environ.get("GITLAB_CI") else "github" if os.environ.get("GITHUB_ACTIONS") else "none"
    if choice == "none":
        return None
    return Sections(GitLabSections() if choice == "gitlab" else GitHubGroups())


class PlainReporter:
    """Prints a line when a step ends, occasionally one while it runs, and one if it says nothing for
    long: for logs.
    """

    def __init__(
        self,
        emit: Callable[[str], None],
        *,
        sections: Sections | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._emit = emit
        self._now = now
        self._sections = sections
        self._steps: list[_PlainStep] = []
        self._lock = threading.RLock()
        self._ticker = Ticker(self._look, _INTERVAL)

    @contextmanager
    def step(self, recipe: str, name: str, expected: float | None = None) -> Iterator[RunningStep]:
        step = _PlainStep(recipe, name, expected, self._now, emit=self._say)
        self._enter(step)
        try:
            yield step
        except BaseException as error:
            how = "interrupted" if isinstance(error, KeyboardInterrupt | Interrupted) else "failed"
            self._leave(step, how if not step.detail else f"{how} at: {step.detail}")
            raise
        self._leave(step, step.text)

    def note(self, recipe: str, text: str) -> None:
        self.outside(lambda: self._emit(f"{recipe}  {text}"))

    def outside(self, call: Callable[[], None]) -> None:
        """Call what prints something that must be seen: not within a section, which is folded."""
        if self._sections is None:
            call()
        else:
            self._sections.outside(call)

    def _enter(self, step: _PlainStep) -> None:
        with self._lock:
            self._steps.append(step)
            if self._sections is not None:
                self._sections.begin(step)
            self._ticker.start()

    def _leave(self, step: _PlainStep, text: str) -> None:
        with self._lock:
            self._steps.remove(step)
            if not self._steps:
                self._ticker.stop()
            lines = self._fitted(step, text)
            if self._sections is not None:
                self._sections.end(step, lines)
                return
            for one in lines:
                self._emit(one)

    def _say(self, step: RunningStep, text: str) -> None:
        said = line(step.recipe, step.name, text, step.seconds, step.expected)
        if self._sections is not None:
            self._sections.say(step, said)
        else:
            self._emit(said)

    def _look(self) -> None:
        with self._lock:
            for step in self._steps:
                if what := step.overdue():
                    self._say(step, what)

    def _fitted(self, step: RunningStep, text: str) -> list[str]:
        """The last line of a step; more of them on a terminal that is too narrow for it."""
        whole = line(step.recipe, step.name, text, step.seconds)
        size = terminal_size()
        if size is None or len(whole) <= size[0]:
            return [whole]
        from imagebuild.cli import rows

        return rows.ended(step.recipe, step.name, text, step.seconds, size[0], rows.ASCII)


class _PlainStep(RunningStep):
    def __init__(
        self,
        recipe: str,
        name: str,
        expected: float | None,
        now: Callable[[], float],
        *,
        emit: Callable[[RunningStep, str], None],
    ) -> None:
        super().__init__(recipe, name, expected, now)
        self._emit = emit
        self._reported = self.began

    def update(self, detail: str = "", fraction: float | None = None, waiting: str = "") -> None:
        super().update(detail, fraction, waiting)
        if self.now() - self._reported >= _HEARTBEAT:
            self._reported = self.now()
            percent = f" ({fraction:.0%})" if fraction is not None else ""
            self._emit(self, f"… {self.detail}{percent}")


class JsonReporter:
    """One JSON object per line on standard output: ``step`` events with ``state`` started, running,
    done or failed.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._steps: list[_JsonStep] = []
        self._lock = threading.RLock()
        self._ticker = Ticker(self._look, _INTERVAL)

    @contextmanager
    def step(self, recipe: str, name: str, expected: float | None = None) -> Iterator[RunningStep]:
        step = _JsonStep(recipe, name, expected, self._now, emit=self.emit)
        self.emit(json_lines.StepStarted(recipe=recipe, step=name, expected_seconds=rounded(expected)))
        with self._lock:
            self._steps.append(step)
            self._ticker.start()
        try:
            yield step
        except BaseException as error:
            self._leave(step)
            cause = error.message if isinstance(error, ImageBuildError) else type(error).__name__
            self.emit(json_lines.StepFailed(recipe=recipe, step=name, error=cause, seconds=round(step.seconds, 1)))
            raise
        self._leave(step)
        seconds = round(step.seconds, 1)
        self.emit(json_lines.StepDone(recipe=recipe, step=name, summary=step.text, seconds=seconds, source=step.source))

    def note(self, recipe: str, text: str) -> None:
        self.emit(json_lines.Note(recipe=recipe, text=text))

    def emit(self, event: json_lines.AnyEvent) -> None:
        """Print one event."""
        echo_data(json_lines.data(event))

    def _leave(self, step: _JsonStep) -> None:
        with self._lock:  # nothing may follow the event that ends the step
            self._steps.remove(step)
            if not self._steps:
                self._ticker.stop()

    def _look(self) -> None:
        with self._lock:
            for step in self._steps:
                step.repeat()


class _JsonStep(RunningStep):
    def __init__(
        self,
        recipe: str,
        name: str,
        expected: float | None,
        now: Callable[[], float],
        *,
        emit: Callable[[json_lines.AnyEvent], None],
    ) -> None:
        super().__init__(recipe, name, expected, now)
        self._emit = emit
        self._reported: tuple[str, int | None] = ("", None)
        self._reported_at = self.began

    def update(self, detail: str = "", fraction: float | None = None, waiting: str = "") -> None:
        super().update(detail, fraction, waiting)
        state = (self.detail, None if fraction is None else int(fraction * 20))
        if state != self._reported:
            self._reported = state
            self._tell()

    def repeat(self) -> None:
        """Show a reader that the step goes on, and what it waits for now, if it has moved since the last event."""
        if self.moved > self._reported_at and self.now() - self._reported_at >= _SIGN_OF_LIFE:
            self._tell()

    def _tell(self) -> None:
        self._reported_at = self.now()
        self._emit(
            json_lines.StepRunning(
                recipe=self.recipe, step=self.name, detail=self.detail, fraction=self.fraction, waiting=self.waiting
            )
        )
