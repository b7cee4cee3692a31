"""The agent's output: events on the serial console, everything else in the log.

Each event is a line that starts at column 0 (``kickstrap: step 2/6 …``); the host follows the
installation by these events. Other text (output of tools and scripts) never starts at column 0 of
the console, so that it cannot be mistaken for an event.
"""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import suppress

_KEPT = 30
_WIDEST = 400


def one_line(text: str) -> str:
    """``text`` without line breaks and control characters, and of limited length."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= _WIDEST else line[:_WIDEST] + "…"


class EventConsole:
    """Writes events to the descriptor ``events`` and log lines to the descriptors ``logs``.

    A log that is currently full (a virtio port that nobody reads) loses the line; one that cannot
    be written to at all is no longer used.
    """

    def __init__(self, events: int, logs: list[int] | None = None) -> None:
        self._events = events
        self._logs = list(logs or [])
        self._begin = time.monotonic()
        self._tail: deque[str] = deque(maxlen=_KEPT)
        self._percent = -1

    def started(self) -> None:
        self._event("started")

    def step(self, number: int, count: int, text: str) -> None:
        self._event(f"step {number}/{count} {one_line(text)}")

    def progress(self, percent: int, text: str) -> None:
        """Report ``percent`` of the whole installation, if it has grown."""
        if percent > self._percent:
            self._percent = percent
            self._event(f"progress {percent} {one_line(text)}")

    def failed(self, text: str) -> None:
        """Print the last log lines, indented, then the event, which is the final output."""
        for line in self._tail:
            self._write(self._events, f"  | {line}")
        self._event(f"failed: {one_line(text)}")

    def log(self, text: str) -> None:
        """Write a line to the log; the last lines are also printed on the console if the
        installation fails.
        """
        self._tail.append(self._write_log(text))

    def _write_log(self, text: str) -> str:
        line = f"{time.monotonic() - self._begin:8.2f} {one_line(text)}"
        for log in list(self._logs):
            try:
                self._write(log, line)
            except BlockingIOError:
                continue
            except OSError:
                self._logs.remove(log)
        return line

    def _event(self, text: str) -> None:
        self._write_log(text)
        with suppress(OSError):
            self._write(self._events, f"kickstrap: {text}")

    @staticmethod
    def _write(descriptor: int, line: str) -> None:
        data = (line + "\n").encode("utf-8", "replace")
        while data:
            data = data[os.write(descriptor, data) :]
