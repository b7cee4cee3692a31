"""The process that works on one libvirt host: see :mod:`imagebuild.publish.isolated`.

It reads requests from standard input and writes replies to standard output, each a line with a pickled
value in base64. When the input ends, because the process that started it is gone, it gives up what it
is doing, and clears up as after an interruption.
"""

from __future__ import annotations

import base64
import logging
import os
import pickle
import queue
import signal
import sys
import threading
from contextlib import ExitStack
from types import FrameType
from typing import Any

from imagebuild import log
from imagebuild.errors import ImageBuildError, from_os
from imagebuild.host import process

CALLS = frozenset(("templates", "state", "stored", "send", "digest", "switch", "used", "remove"))
"""The methods of a target that can be asked for; ``lock`` and ``unlock`` enter and leave its lock,
and ``boots`` makes a machine (:mod:`imagebuild.publish.instance`)."""
WITH_PROGRESS = frozenset(("send", "digest"))
_CLEAR_UP = 60.0
"""Seconds for clearing up after an interruption; then the process ends in any case."""


def line(value: Any) -> str:
    """A value as a line."""
    return base64.b64encode(pickle.dumps(value)).decode("ascii") + "\n"


def value(text: str) -> Any:
    """The value in a line; for lines of one's own processes only."""
    return pickle.loads(base64.b64decode(text))  # noqa: S301 - written by this program, through a pipe of its own


class _Worker:
    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._replies = os.fdopen(os.dup(1), "w", encoding="ascii", buffering=1)
        os.dup2(2, 1)  # nothing that a library prints is taken for a reply
        self._writing = threading.Lock()

    def reply(self, kind: str, content: Any) -> None:
        with self._writing:
            self._replies.write(line((kind, content)))
            self._replies.flush()

    def read(self) -> None:
        """Pass on requests; for a thread. Ends the process when the input ends."""
        for text in sys.stdin:
            self._requests.put(value(text))
        self._requests.put(None)
        threading.Timer(_CLEAR_UP, os._exit, (1,)).start()
        os.kill(os.getpid(), signal.SIGTERM)

    def run(self) -> None:
        threading.Thread(target=self.read, daemon=True).start()
        destination, mark = self._requests.get()
        from imagebuild.publish.connecting import opened_here  # with the libraries that a host needs

        with process.marked(mark), ExitStack() as opened:
            target = self._answered(lambda: opened.enter_context(opened_here(destination)), silent=True)
            lock = opened.enter_context(ExitStack())
            while target is not None and (request := self._requests.get()) is not None:
                self._serve(target, lock, *request)

    def _serve(self, target: Any, lock: ExitStack, name: str, words: tuple[Any, ...]) -> None:
        if name == "lock":
            self._answered(lambda: lock.enter_context(target.lock()), silent=True)
        elif name == "unlock":
            self._answered(lock.close)
        elif name == "boots":
            self._answered(lambda: self._boots(target, *words))
        elif name in CALLS:
            progress = (lambda done, total: self.reply("progress", (done, total)),) if name in WITH_PROGRESS else ()
            self._answered(lambda: getattr(target, name)(*words, *progress))

    def _boots(self, target: Any, template: str, version: str, limit: float) -> None:
        from imagebuild.publish.instance import boots

        boots(target, template, version, limit=limit, update=lambda detail: self.reply("progress", (detail,)))

    def _answered(self, call: Any, *, silent: bool = False) -> Any:
        """Make a call and reply with its result, or only that there is one, or with its error."""
        try:
            result = call()
        except (ImageBuildError, OSError) as error:
            failure = from_os(error) if isinstance(error, OSError) else error
            self.reply("error", (type(failure).__name__, failure.message, failure.hint, failure.exit_code))
            return None
        self.reply("result", None if silent else result)
        return result


class _Forwarded(logging.Handler):
    """Passes the log on to the process that has one."""

    def __init__(self, worker: _Worker) -> None:
        super().__init__()
        self._worker = worker

    def emit(self, record: logging.LogRecord) -> None:
        self._worker.reply("log", (record.levelno, record.getMessage()))


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the input ends too, and must not interrupt the clearing up
    raise KeyboardInterrupt


def main() -> None:
    """The entry point of the process."""
    os.umask(os.umask(0o077) | 0o022)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the process that started this one
    worker = _Worker()
    log.attach(_Forwarded(worker))
    try:
        worker.run()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os._exit(1)


if __name__ == "__main__":
    main()
