"""A thread that looks at running steps again and again, also while they report nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from imagebuild.errors import OutputError


class Ticker:
    """Calls ``look`` every ``interval`` seconds between ``start`` and ``stop``.

    The thread is a daemon and is never joined: a Ctrl-C in Thread.join marks a running thread as
    ended (CPython issue 90882). ``look`` may therefore run once more after ``stop``.
    """

    def __init__(self, look: Callable[[], None], interval: float) -> None:
        self._look, self._interval = look, interval
        self._stop: threading.Event | None = None

    def start(self) -> None:
        """Start looking, unless that goes on already."""
        if self._stop is None:
            self._stop = threading.Event()
            threading.Thread(target=self._run, args=(self._stop,), name="progress", daemon=True).start()

    def stop(self) -> None:
        """Stop looking."""
        if self._stop is not None:
            self._stop.set()
            self._stop = None

    def _run(self, stop: threading.Event) -> None:
        with suppress(OutputError, BrokenPipeError):  # the thread that prints what matters reports it
            while not stop.wait(self._interval):
                self._look()
