"""How long-running work reports its progress.

Only the command line prints; all other code calls these methods.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


ResultSource = Literal["made", "store", "remote"]
"""Where the result of a step came from: made here, by another build in the same store meanwhile, or
fetched from a remote store.
"""


class Progress(Protocol):
    """One running step."""

    def update(self, detail: str = "", fraction: float | None = None, waiting: str = "") -> None:
        """Report what is being done now, and how much of the step is done (0.0 to 1.0) if known.

        ``waiting`` is what the step waits for if nothing is reported after this; empty if the
        detail says it.
        """

    def summary(self, text: str, source: ResultSource = "made") -> None:
        """Report in a few words what the step did, and where its result came from; shown when it ends."""


class Reporter(Protocol):
    """Receives the progress of a build while it runs."""

    def step(self, recipe: str, name: str, expected: float | None = None) -> AbstractContextManager[Progress]:
        """A context for one step: leaving it ends the step, and an exception marks the step as
        failed.

        ``expected`` is the number of seconds that the step is likely to take, if known.
        """

    def note(self, recipe: str, text: str) -> None:
        """Report information that does not belong to a step."""


class _SilentProgress:
    def update(self, detail: str = "", fraction: float | None = None, waiting: str = "") -> None:
        pass

    def summary(self, text: str, source: ResultSource = "made") -> None:
        pass


class _SilentReporter:
    @contextmanager
    def step(self, recipe: str, name: str, expected: float | None = None) -> Iterator[Progress]:
        yield SILENT

    def note(self, recipe: str, text: str) -> None:
        pass


SILENT: Progress = _SilentProgress()
SILENT_REPORTER: Reporter = _SilentReporter()
