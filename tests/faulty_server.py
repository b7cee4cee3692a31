"""A web server on the loopback interface that misbehaves as configured."""

from __future__ import annotations

import re
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Faults:
    """The faults; items of lists are consumed one per request."""

    statuses: list[int] = field(default_factory=list)
    """The first responses have these status codes."""
    cut_after: list[int] = field(default_factory=list)
    """Close the connection after this number of bytes of the body."""
    ranges: bool = True
    validator: str | None = '"one"'
    length: bool = True
    location: str | None = None
    stall_after: int | None = None
    """Send this number of bytes, then one every ``drip`` seconds."""
    drip: float = 60.0
    encoding: str | None = None


@dataclass
class FaultyServer:
    """``content`` is by path; ``seen`` are the requested paths with their Range headers."""

    port: int
    scheme: str
    content: dict[str, bytes] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    seen: list[tuple[str, str | None]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    about: FaultyServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        about, faults = self.about, self.about.faults
        asked = self.headers["Range"]
        about.seen.append((self.path, asked))
        if faults.location:
            self._empty(302, faults.location)
        elif faults.statuses:
            self._empty(faults.statuses.pop(0))
        elif self.path.partition("?")[0] not in about.content:
            self._empty(404)
        else:
            self._file(about.content[self.path.partition("?")[0]], asked)

    def _empty(self, status: int, location: str | None = None) -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file(self, body: bytes, asked: str | None) -> None:
        faults = self.about.faults
        begin = 0
        if asked and faults.ranges and self.headers["If-Range"] == faults.validator:
            begin = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])  # type: ignore[index]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if faults.validator:
            self.send_header("ETag", faults.validator)
        if faults.encoding:
            self.send_header("Content-Encoding", faults.encoding)
        rest = body[begin:]
        if faults.length:
            self.send_header("Content-Length", str(len(rest)))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self._send(rest)

    def _send(self, rest: bytes) -> None:
        faults = self.about.faults
        if faults.cut_after:
            rest = rest[: faults.cut_after.pop(0)]
            self.close_connection = True
        try:
            if faults.stall_after is None:
                self.wfile.write(rest)
                return
            self.wfile.write(rest[: faults.stall_after])
            for at in range(faults.stall_after, len(rest)):
                if self.about.over.wait(faults.drip):
                    return
                self.wfile.write(rest[at : at + 1])
                self.wfile.flush()
        except OSError:
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Ignore clients that disconnect, which many tests provoke."""


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[FaultyServer]:
    """A server; with ``certificate`` (its key in the same file) it speaks TLS."""
    handler = type("Handler", (_Handler,), {})
    with _Server(("127.0.0.1", 0), handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        about = FaultyServer(server.server_address[1], "https" if certificate else "http")
        handler.about = about  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield about
        finally:
            about.over.set()
            server.shutdown()
            thread.join()


Script = Callable[[bytes, socket.socket], None]


@contextmanager
def scripted(script: Script) -> Iterator[str]:
    """The URL of a server that passes the head of each request to ``script`` and then closes the
    connection.
    """

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            head = b""
            with suppress(OSError):
                while b"\r\n\r\n" not in head and (block := self.request.recv(65536)):
                    head += block
                script(head, self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
