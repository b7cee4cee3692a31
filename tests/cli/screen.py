"""Terminals for tests: pyte, which draws what a program writes to a pty, and tmux, which also breaks
lines again when its window becomes narrower.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyte

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
PLAIN = ("CI", "NO_COLOR", "COLUMNS", "LINES", "TMUX", "XTERM_VERSION", "IMAGEBUILD_PROGRESS", "IMAGEBUILD_SECTIONS")
"""Variables that a test must set itself."""


def environment(more: Mapping[str, str]) -> dict[str, str]:
    there = {name: value for name, value in os.environ.items() if name not in PLAIN}
    return {**there, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", **more}


class Screen:
    """What a program has drawn on a terminal."""

    def __init__(self, columns: int, rows: int, terminal: int) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._terminal = terminal
        self.written = b""
        self.ended = False

    @property
    def lines(self) -> list[str]:
        """The lines up to the last one that is not empty, without spaces at their ends."""
        found = [line.rstrip() for line in self._screen.display]
        while found and not found[-1]:
            found.pop()
        return found

    def resize(self, columns: int, rows: int) -> None:
        """Change the size, which also sends SIGWINCH."""
        self._screen.resize(rows, columns)
        set_size(self._terminal, columns, rows)

    def finish(self) -> list[str]:
        """Draw until the program ends."""
        deadline = time.monotonic() + PATIENCE
        while not self.ended:
            assert time.monotonic() < deadline, "\n".join(["it does not end:", *self.lines])
            self._draw(0.02)
        return self.lines

    def until(self, good: Callable[[], bool]) -> list[str]:
        """Draw until ``good`` holds, and everything that was written up to then; fails with the screen
        if it never does.
        """
        deadline = time.monotonic() + PATIENCE
        while not good():
            assert not self.ended, "\n".join(["the program has ended:", *self.lines])
            assert time.monotonic() < deadline, "\n".join(["the screen:", *self.lines])
            self._draw(0.02)
        while self._draw(0):
            pass
        return self.lines

    def _draw(self, seconds: float) -> bool:
        if self.ended or not select.select([self._terminal], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._terminal, 1 << 16)
        except OSError:  # EIO: nobody has the terminal open any more
            data = b""
        self.ended = not data
        self.written += data
        self._stream.feed(data)
        return not self.ended


def set_size(descriptor: int, columns: int, rows: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def on_screen(
    argv: Sequence[str | Path], columns: int, rows: int = 24, *, cwd: Path | None = None, **more: str
) -> Iterator[Screen]:
    """Run a program on a terminal of this size, which does not break lines again (as xterm does not)."""
    ours, theirs = pty.openpty()
    set_size(ours, columns, rows)
    process = subprocess.Popen(
        [*argv], stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, start_new_session=True,
        env=environment({"XTERM_VERSION": "XTerm(379)", **more}),
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Screen(columns, rows, ours)
    finally:
        with_group(process)
        os.close(ours)


def with_group(process: subprocess.Popen[bytes]) -> None:
    """End a program and what it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Script:
    """A program that reports steps as it is told: see scripted_steps.py. Its clock stands still."""

    def __init__(self, folder: Path) -> None:
        self._orders, self._answers = folder / "orders", folder / "answers"
        for path in (self._orders, self._answers):
            os.mkfifo(path)
        program = Path(__file__).with_name("scripted_steps.py")
        self.argv = (sys.executable, program, self._orders, self._answers)
        self._answer = os.open(self._answers, os.O_RDONLY | os.O_NONBLOCK)
        self._order = os.open(self._orders, os.O_RDWR)

    def give(self, *orders: str) -> None:
        """Give orders without waiting."""
        os.write(self._order, "".join(f"{order}\n" for order in orders).encode())

    def __call__(self, screen: Screen, *orders: str) -> list[str]:
        """Give orders, and return the screen when they have been carried out and drawn."""
        self.give(*orders, "draw")
        return screen.until(self._answered)

    def _answered(self) -> bool:
        try:
            return bool(os.read(self._answer, 1))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._order)
        os.close(self._answer)
