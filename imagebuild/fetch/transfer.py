"""A GET request made with libcurl: checks the answer, passes its bytes on as they arrive, and
detects stalls.

libcurl follows redirects, finds proxies in the environment, does not send credentials to other
hosts, and limits and checks headers and chunks (https://curl.se/libcurl/c/). This module decides
which of its errors are worth another attempt.
"""

from __future__ import annotations

import os
import re
import ssl
import string
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pycurl

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.fetch.limits import BLOCK, Cut, Limits, NotThere, Passing, shown

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that are worth another attempt."""
_FINAL = {
    pycurl.E_UNSUPPORTED_PROTOCOL: "{}",
    pycurl.E_URL_MALFORMAT: "{}",
    pycurl.E_FTP_WEIRD_SERVER_REPLY: "the server's answer is invalid: {}",
    pycurl.E_TOO_MANY_REDIRECTS: "Exceeded 10 redirects",
    pycurl.E_BAD_CONTENT_ENCODING: "the server's answer is invalid: {}",
}
"""Errors that another attempt would not change."""
_ASCII = string.punctuation
"""Characters that are not escaped in an address, besides letters and digits."""
_CUT = frozenset({pycurl.E_PARTIAL_FILE, pycurl.E_GOT_NOTHING, pycurl.E_RECV_ERROR})

Take = Callable[[bytes], None]


@dataclass(frozen=True)
class Answer:
    """The head of an answer; header names are in lower case, and repeated headers are joined with
    commas.
    """

    status: int
    reason: str
    headers: dict[str, str]

    @staticmethod
    def read(lines: list[bytes]) -> Answer:
        first, *rest = [line.decode("latin-1").strip() for line in lines]
        _, _, said = first.partition(" ")
        headers: dict[str, str] = {}
        for line in rest:
            name, _, value = line.partition(":")
            before = headers.get(name.strip().lower())
            headers[name.strip().lower()] = value.strip() if before is None else f"{before}, {value.strip()}"
        return Answer(int(said[:3]), said[3:].strip(), headers)

    @property
    def length(self) -> int | None:
        """The length of the body, if the server announces it. Raises ImageBuildError for an
        impossible length.
        """
        if "transfer-encoding" in self.headers or "content-length" not in self.headers:
            return None  # chunks have their own lengths (RFC 9112, 6.3)
        lengths = {length.strip() for length in self.headers["content-length"].split(",")}
        if len(lengths) > 1 or not re.fullmatch("[0-9]{1,18}", length := lengths.pop()):
            said = self.headers["content-length"][:40]
            raise ImageBuildError(f"the server announced an impossible size: {said} bytes", "use another mirror")
        return int(length)


class Transfer:
    """A running download. Another thread can end it, and it ends itself if the server stalls."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.ended = threading.Event()
        self._deadline = time.monotonic() + limits.total

    def get(self, url: str, headers: dict[str, str], begin: Callable[[Answer], Take | None]) -> None:
        """GET ``url``. ``begin`` is called with the head of a successful answer; it returns a
        function for the body's blocks.

        If ``begin`` returns None, the body is not read. Raises NotThere, HostError,
        ImageBuildError, and Passing for faults that another attempt may overcome.
        """
        request = _Request(url, begin, self.limits, self.ended)
        curl = pycurl.Curl()
        try:
            _set_up(curl, request, headers, self.limits)
            curl.setopt(pycurl.TIMEOUT_MS, max(1, int((self._deadline - time.monotonic()) * 1000)))
            self._perform(curl)
            request.at_end()
        except pycurl.error as error:
            code, message = error.args
            if request.fault is not None:
                raise request.fault from None
            if not request.declined:
                if time.monotonic() >= self._deadline:
                    raise HostError(f"{shown(url)} took longer than {self.limits.total / 60:.0f} minutes") from error
                raise _translated(code, message, curl.getinfo(pycurl.OS_ERRNO), url) from error
        finally:
            curl.close()

    def _perform(self, curl: Any) -> None:
        # In a thread: Python handles signals only in the main thread, and pycurl swallows exceptions in its callbacks.
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(curl.perform)
            try:
                future.result()
            except pycurl.error:
                raise
            except BaseException:
                self.ended.set()
                raise


class _Request:
    """The callbacks for libcurl. An exception ends the transfer and is stored, because it cannot
    pass through libcurl.
    """

    def __init__(
        self, url: str, begin: Callable[[Answer], Take | None], limits: Limits, ended: threading.Event
    ) -> None:
        self.url = url
        self.fault: BaseException | None = None
        self.declined = False
        self._begin, self._limits, self._ended = begin, limits, ended
        self._take: Take | None = None
        self._lines: list[bytes] = []
        self._begun = False
        self._received = 0
        now = time.monotonic()
        self._last, self._window = (now, 0), (now, 0)

    def kept(self, function: Callable[..., int | None]) -> Callable[..., int | None]:
        def call(*values: Any) -> int | None:
            try:
                return function(*values)
            except BaseException as error:  # noqa: BLE001 - raised again once libcurl has returned
                self.fault = error
                return -1  # for each kind of callback: end the transfer

        return call

    def header(self, line: bytes) -> None:
        if line.startswith(b"HTTP/"):
            self._lines = []
        if line.strip():
            self._lines.append(line)
        else:
            self._look_at_redirect()

    def _look_at_redirect(self) -> None:
        answer = Answer.read(self._lines)
        if 300 <= answer.status < 400 and (place := answer.headers.get("location")):
            target = urljoin(self.url, place)
            if urlsplit(target).scheme not in ("http", "https"):
                raise ImageBuildError(
                    f"cannot fetch {shown(self.url)}: it redirects to {shown(target)}", "use another mirror"
                )
            if urlsplit(self.url).scheme == "https" and urlsplit(target).scheme != "https":
                raise ImageBuildError(
                    f"{shown(self.url)} redirects from https to the insecure {shown(target)}", "use another mirror"
                )
            self.url = target

    def body(self, block: bytes) -> int | None:
        self._received += len(block)
        self._start()
        if self._take is None:
            self.declined = True
            return -1
        self._take(block)
        return None

    def at_end(self) -> None:
        """Handle an answer without a body."""
        self._start()

    def _start(self) -> None:
        if not self._begun:
            self._begun = True
            answer = Answer.read(self._lines)
            _check_status(answer, shown(self.url))
            self._take = self._begin(answer)

    def watch(self, *_: int) -> int:
        """Check for stalls; called at least once a second."""
        if self._ended.is_set():
            raise Passing("it was cancelled")
        now, limits = time.monotonic(), self._limits
        if self._received > self._last[1]:
            self._last = now, self._received
        elif now - self._last[0] > limits.read:
            raise Passing("the server did not answer in time")
        if now - self._window[0] > limits.window:
            if self._received - self._window[1] < limits.slowest:
                raise Passing(f"fewer than {limits.slowest} bytes arrived in {limits.window:.0f} s")
            self._window = now, self._received
        return 0


def _set_up(curl: Any, request: _Request, headers: dict[str, str], limits: Limits) -> None:
    secure = request.url.lower().startswith("https:")
    curl.setopt(pycurl.URL, quote(request.url, safe=_ASCII))
    curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    curl.setopt(pycurl.REDIR_PROTOCOLS, pycurl.PROTO_HTTPS if secure else pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
    curl.setopt(pycurl.FOLLOWLOCATION, 1)
    curl.setopt(pycurl.MAXREDIRS, 10)
    curl.setopt(pycurl.NETRC, pycurl.NETRC_OPTIONAL)
    curl.setopt(pycurl.USERAGENT, "imagebuild")
    sent = {"Accept-Encoding": "identity", **headers}  # libcurl decodes only encodings that it requested
    curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}".encode("latin-1", "replace") for name, value in sent.items()])
    curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(limits.connect * 1000))
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.BUFFERSIZE, BLOCK)
    curl.setopt(pycurl.NOPROGRESS, 0)
    curl.setopt(pycurl.HEADERFUNCTION, request.kept(request.header))
    curl.setopt(pycurl.WRITEFUNCTION, request.kept(request.body))
    curl.setopt(pycurl.XFERINFOFUNCTION, request.kept(request.watch))
    for option, place in _authorities():
        curl.setopt(option, os.fsencode(place))


def _check_status(answer: Answer, place: str) -> None:
    status = answer.status
    if status in (200, 206, 416):
        return
    if status in (404, 410):
        raise NotThere(
            f"{place} does not exist (the server says {status})",
            "has the release moved, or been removed from the mirror?",
        )
    said = f"the server says {status} {answer.reason[:200]}".rstrip()
    if status in _PASSING:
        asked = answer.headers.get("retry-after", "")
        raise Passing(said, float(asked) if re.fullmatch("[0-9]{1,9}", asked) else 0.0)
    raise HostError(f"cannot fetch {place}: {said}")


def _translated(code: int, message: str, errno: int, url: str) -> Exception:
    if code in (pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT, pycurl.E_SSL_CACERT_BADFILE):
        hint = "check the clock; add a private certificate authority to the system's, or set REQUESTS_CA_BUNDLE"
        return HostError(f"{shown(url)}: the server's certificate is invalid: {message}", hint)
    if code in _FINAL:
        return ImageBuildError(f"cannot fetch {shown(url)}: {_FINAL[code].format(message)}")
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return Passing("the server did not answer in time")
    if code == pycurl.E_COULDNT_CONNECT and errno:
        return Passing(os.strerror(errno))
    return Cut(message) if code in _CUT else Passing(message)


def _authorities() -> list[tuple[int, str]]:
    """The system's certificate authorities, which administrators can extend, or those in
    REQUESTS_CA_BUNDLE.
    """
    named = os.environ.get("REQUESTS_CA_BUNDLE")
    if named:
        return [(pycurl.CAPATH if Path(named).is_dir() else pycurl.CAINFO, named)]
    paths = ssl.get_default_verify_paths()
    return [
        (option, place) for option, place in ((pycurl.CAINFO, paths.cafile), (pycurl.CAPATH, paths.capath)) if place
    ]
