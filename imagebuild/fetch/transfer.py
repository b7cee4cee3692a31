"""One request: what the server says, the bytes as they come, and the end of both where nothing comes any more."""

from __future__ import annotations

import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.fetch.limits import BLOCK, Limits, NotThere, Passing, shown

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that another attempt may change."""


class _Session(requests.Session):  # type: ignore[misc]  # requests has no types
    """Never goes from https down to http."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target: str | None = super().get_redirect_target(resp)
        if target and resp.url.startswith("https:") and urlsplit(urljoin(resp.url, target)).scheme != "https":
            raise ImageBuildError(
                f"{shown(resp.url)} leads from https down to {shown(urljoin(resp.url, target))}", "use another mirror"
            )
        return target


class Transfer:
    """A download under way. Another thread can end it, and it ends itself where the server stalls."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.ended = threading.Event()
        self._received = 0
        self._stalled = False
        self._line: socket.socket | None = None

    def stop(self) -> None:
        self.ended.set()
        self._cut()

    def _cut(self) -> None:
        with suppress(OSError, AttributeError):
            self._line.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]  # wakes up whoever reads from it

    @contextmanager
    def opened(self, url: str, headers: dict[str, str]) -> Iterator[requests.Response]:
        """A good answer to GET. Raises NotThere, HostError, and Passing for what another attempt may get over."""
        with _Session() as session:
            session.verify = _authorities()
            session.max_redirects = 10
            session.headers.update({"Accept-Encoding": "identity", "User-Agent": "imagebuild"})
            timeout = (self.limits.connect, self.limits.read)
            try:
                with session.get(url, headers=headers, stream=True, timeout=timeout) as answer:
                    _check_status(answer)
                    with self._watched(answer):
                        yield answer
            except (requests.RequestException, urllib3.exceptions.HTTPError, ssl.SSLError, ConnectionError) as error:
                if self._stalled:
                    self._stalled = False
                    raise Passing(
                        f"less than {self.limits.slowest} bytes came in {self.limits.window:.0f} s"
                    ) from error
                raise _translated(error, url) from error

    def blocks(self, answer: requests.Response) -> Iterator[bytes]:
        """The bytes of an answer as they come."""
        for block in answer.raw.stream(BLOCK, decode_content=False):
            self._received += len(block)
            if self.ended.is_set():
                break
            yield block
        if self._stalled or self.ended.is_set():
            raise urllib3.exceptions.HTTPError("cut")  # which looks like the end where no length was told

    @contextmanager
    def _watched(self, answer: requests.Response) -> Iterator[None]:
        over = threading.Event()

        def watch() -> None:
            before = self._received
            while not over.wait(self.limits.window):
                if self._received - before < self.limits.slowest:
                    self._stalled = True
                    self._cut()
                    return
                before = self._received

        try:
            # of our own, so that it stays this connection until the end, whatever is closed meanwhile
            line = socket.socket(fileno=os.dup(answer.raw.fileno()))
        except OSError:  # all has come already
            yield
            return
        with line:
            self._line = line
            watcher = threading.Thread(target=watch, daemon=True)
            watcher.start()
            try:
                yield
            finally:
                over.set()
                watcher.join()
                self._line = None


def _check_status(answer: requests.Response) -> None:
    status, place = answer.status_code, shown(answer.url)
    if status in (200, 206, 416):
        return
    if status in (404, 410):
        raise NotThere(
            f"{place} is not there (the server says {status})", "has the release moved, or the mirror dropped it?"
        )
    said = f"the server says {status} {answer.reason}"
    if status in _PASSING:
        asked = answer.headers.get("Retry-After", "")
        raise Passing(said, float(asked) if asked.isdecimal() else 0.0)
    raise HostError(f"{place} cannot be fetched: {said}")


def _translated(error: Exception, url: str) -> Exception:
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        hint = "is the clock right? An authority of your own: add it to the system's, or set REQUESTS_CA_BUNDLE"
        return HostError(f"{shown(url)}: the server's certificate is not valid: {_innermost(error)}", hint)
    passing = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    if isinstance(error, requests.RequestException) and not isinstance(error, passing):
        return ImageBuildError(f"{shown(url)} cannot be fetched: {_innermost(error)}")
    return Passing(_innermost(error))


def _innermost(error: BaseException) -> str:
    """What happened at the bottom: the layers above only repeat it."""
    seen: BaseException | None = error
    while seen is not None:
        error = seen
        inner = [
            argument
            for argument in (getattr(error, "reason", None), *error.args)
            if isinstance(argument, BaseException)
        ]
        seen = inner[0] if inner else error.__cause__
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)  # a kind of timeout, by its class
    if isinstance(error, TimeoutError | urllib3.exceptions.TimeoutError) and not refused:
        return "it did not answer in time"
    said = str(getattr(error, "strerror", None) or error).rpartition(": ")[2]
    return re.sub(r"^\[Errno -?[0-9]+\] ", "", " ".join(said.split())) or type(error).__name__


def _authorities() -> str | bool:
    """The system's certificates, where an administrator adds one; requests brings a list of its own, for others.

    requests itself looks at REQUESTS_CA_BUNDLE first.
    """
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or True
