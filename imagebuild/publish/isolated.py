"""A target in a process of its own.

libvirt's client library can end its whole process when a connection is lost while it is used (seen
with 9.0 and several hosts of which one was cut off): then only the work on that host fails.
"""

from __future__ import annotations

import logging
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from imagebuild import log
from imagebuild.errors import HostError, ImageBuildError, Interrupted, UsageError
from imagebuild.host.process import Process, TimeoutExpired, end_marked, started
from imagebuild.printable import one_line
from imagebuild.project.select import Destination
from imagebuild.publish.protocol import Progress, TemplateTarget
from imagebuild.publish.release import ReleaseFile
from imagebuild.publish.state import RecordError, StoredFile, TemplateState
from imagebuild.publish.target_process import line, value

_MODULE = "imagebuild.publish.target_process"
_END = 30.0
"""Seconds for closing connections, and releasing the lock, at the end or after an interruption."""
_CLASSES: Mapping[str, type[ImageBuildError]] = {
    one.__name__: one for one in (HostError, UsageError, RecordError, Interrupted)
}


class IsolatedTarget:
    """A target whose methods run in another process; see :func:`isolated`."""

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self._process = process

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the target's lock."""
        self._call("lock")
        try:
            yield
        finally:
            if self._process.poll() is None:
                with suppress(ImageBuildError):
                    self._call("unlock")

    def templates(self) -> list[str]:
        """See the protocol, as for all methods below."""
        return list(self._call("templates"))

    def state(self, template: str) -> TemplateState | None:
        found: TemplateState | None = self._call("state", template)
        return found

    def stored(self) -> Mapping[str, int]:
        return dict(self._call("stored"))

    def send(self, file: ReleaseFile, template: TemplateState | None, progress: Progress) -> int:
        return int(self._call("send", file, template, progress=progress))

    def digest(self, file: StoredFile, progress: Progress) -> str:
        return str(self._call("digest", file, progress=progress))

    def switch(self, state: TemplateState) -> None:
        self._call("switch", state)

    def used(self, state: TemplateState) -> Mapping[str, str]:
        return dict(self._call("used", state))

    def remove(self, file: str) -> None:
        self._call("remove", file)

    def boots(self, template: str, version: str, limit: float, update: Callable[[str], None]) -> None:
        """See :func:`imagebuild.publish.instance.boots`; if ``update`` raises, the machine is removed."""
        self._call("boots", template, version, limit, progress=update)

    def _call(self, name: str, *words: Any, progress: Callable[..., None] = lambda *_: None) -> Any:
        self.write((name, words))
        return self.answer(progress)

    def write(self, request: Any) -> None:
        """Send a request."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line(request))
            self._process.stdin.flush()
        except OSError as error:
            raise self._gone() from error

    def answer(self, progress: Callable[..., None] = lambda *_: None) -> Any:
        """The result of a request; its progress is reported meanwhile. Raises its error."""
        assert self._process.stdout is not None
        for text in self._process.stdout:
            kind, content = value(text)
            if kind == "result":
                return content
            if kind == "progress":
                progress(*content)
            elif kind == "log":
                level, message = content
                log.logger.log(level, "%s", message)
            else:
                raise _error(*content)
        raise self._gone()

    def _gone(self) -> HostError:
        with suppress(TimeoutExpired):
            self._process.wait(5)
        return HostError(
            f"{self.name}: the process that worked on it ended unexpectedly (status {self._process.returncode})",
            "run the command again; a lost connection can end libvirt's client library",
        )


def _error(kind: str, message: str, hint: str | None, exit_code: int) -> ImageBuildError:
    by_code = {UsageError.exit_code: UsageError, HostError.exit_code: HostError}
    return _CLASSES.get(kind, by_code.get(exit_code, ImageBuildError))(message, hint)


@contextmanager
def isolated(destination: Destination) -> Iterator[TemplateTarget]:
    """The target of a libvirt host, connected in a process that ends with the block."""
    mark = f"target-{secrets.token_hex(8)}"
    argv = [sys.executable, "-m", _MODULE]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        try:
            with started(argv, stdin=True, stderr=said, grace=_END, whole_environment=True) as process:
                target = IsolatedTarget(destination.name, process)
                target.write((destination, mark))
                target.answer()
                yield target
                assert process.stdin is not None
                process.stdin.close()
                with suppress(TimeoutExpired):
                    process.wait(_END)
        finally:
            if process.returncode not in (0, 130):
                end_marked(mark)  # its ssh, for example
            said.seek(0)
            for text in said.read(1 << 16).splitlines():
                log.logger.log(logging.DEBUG, "%s: %s", destination.name, one_line(text))
