"""How long work tells of itself. Only the command line prints; everyone else calls these."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Progress(Protocol):
    """One step under way."""

    def update(self, detail: str = "", fraction: float | None = None) -> None:
        """Tell what is being done now, and how much of the step is done (0.0 to 1.0) if known."""

    def summary(self, text: str) -> None:
        """Say in a few words what the step did; shown when it ends."""


class Reporter(Protocol):
    """What a build tells while it runs."""

    def step(self, recipe: str, name: str, expected: float | None = None) -> AbstractContextManager[Progress]:
        """Enter when a step starts; leaving it ends the step, an exception marks it failed.

        ``expected`` is how many seconds it is likely to take, if that is known.
        """

    def note(self, recipe: str, text: str) -> None:
        """Say one thing worth knowing that belongs to no step."""


class _SilentProgress:
    def update(self, detail: str = "", fraction: float | None = None) -> None:
        pass

    def summary(self, text: str) -> None:
        pass


class _SilentReporter:
    @contextmanager
    def step(self, recipe: str, name: str, expected: float | None = None) -> Iterator[Progress]:
        yield SILENT

    def note(self, recipe: str, text: str) -> None:
        pass


SILENT: Progress = _SilentProgress()
SILENT_REPORTER: Reporter = _SilentReporter()
