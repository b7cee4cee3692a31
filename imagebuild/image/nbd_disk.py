"""Reads the disk in an image without unpacking it: qemu-nbd opens the image and libnbd reads it, so
that no second copy of a disk is needed. Also writes zeros. The only module that uses libnbd.

The image's format is given, never probed, and its header must have been checked before
(:mod:`imagebuild.image.disk_image`). Holes are not read: the server reports where they are
("base:allocation" in the NBD protocol, doc/proto.md).
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from imagebuild.errors import CommandFailed, HostError, ImageBuildError
from imagebuild.host import system_packages
from imagebuild.host.process import Process, started
from imagebuild.image.disk_image import Format
from imagebuild.image.formats import CHUNK

_START = 60.0
"""Seconds until qemu-nbd must accept a connection: opening an image takes milliseconds."""
_SILENCE = 300.0
"""Seconds without an answer after which the server, or the storage below it, is given up."""
_POLL = 500
"""Milliseconds until a signal such as Ctrl-C is noticed."""
_AHEAD = 6
"""Requests under way: qemu decompresses them in parallel."""
_ASKED = 1 << 30
"""Bytes whose allocation is asked for at a time; the protocol allows less than 4 GiB."""
_ZERO = 1 << 1
"""The bit NBD_STATE_ZERO: the extent reads as zeros."""
_LONGEST_SOCKET = 107
"""Bytes of a socket's name, see unix(7)."""


class NbdDisk:
    """The disk in an image; ``size`` is in bytes."""

    def __init__(self, nbd: ModuleType, handle: Any, server: Process) -> None:
        self._nbd = nbd
        self._handle = handle
        self._server = server
        self.size: int = handle.get_size()

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """The chunks of CHUNK bytes that are not entirely holes, in order; the last one of the disk
        may be short. Raises CommandFailed if the disk cannot be read.
        """
        pending: deque[tuple[int, Any, int]] = deque()
        # libnbd 1.14 never frees a buffer that it has read into, so a few are used again and again
        buffers = [self._nbd.Buffer(CHUNK) for _ in range(_AHEAD)]
        for number, offset in enumerate(self._offsets()):
            short = self.size - offset < CHUNK
            buffer = self._nbd.Buffer(self.size - offset) if short else buffers[number % _AHEAD]
            pending.append((offset, buffer, self._called(self._handle.aio_pread, buffer, offset)))
            if len(pending) >= _AHEAD:
                yield self._finished(*pending.popleft())
        while pending:
            yield self._finished(*pending.popleft())

    def data_size(self) -> int:
        """The bytes of the disk that are no holes."""
        return sum(end - start for start, end in self._extents())

    def readers(self) -> Iterator[tuple[int, Callable[[], bytes]]]:
        """The same for :func:`imagebuild.image.one_pass.write`."""
        return ((offset, partial(bytes, data)) for offset, data in self.chunks())

    def zero(self, offset: int, length: int) -> None:
        """Make a range of a writable disk zeros, which take no space in the image where that is possible."""
        for at in range(offset, offset + length, _ASKED):
            self._called(self._handle.zero, min(_ASKED, offset + length - at), at)

    def close(self) -> None:
        """Have the server write everything to the image, and wait until it has ended: without a connection it does.
        CommandFailed if something could not be written."""
        self._called(self._handle.flush)
        self._called(self._handle.shutdown)
        if status := self._server.wait(_SILENCE):
            raise _failed(self._server, f"the image could not be written (exit status {status})")

    def write(self, offset: int, content: bytes) -> None:
        """Write to a writable disk."""
        self._called(self._handle.pwrite, content, offset)

    def _finished(self, offset: int, buffer: Any, cookie: int) -> tuple[int, bytes]:
        self._wait(cookie)
        return offset, bytes(buffer.to_bytearray())

    def _offsets(self) -> Iterator[int]:
        """The offsets of the chunks that contain something other than holes."""
        due = 0
        for start, end in self._extents():
            for offset in range(max(due, start - start % CHUNK), end, CHUNK):
                yield offset
                due = offset + CHUNK

    def _extents(self) -> Iterator[tuple[int, int]]:
        """Where data is: from, and up to, in ascending order."""
        at = 0
        while at < self.size:
            for length, flags in self._status(at):
                end = min(at + length, self.size)
                if not flags & _ZERO:
                    yield at, end
                at = end

    def _status(self, offset: int) -> list[tuple[int, int]]:
        """The lengths and flags of the extents from ``offset`` on; at least one."""
        found: list[int] = []

        def take(context: str, _offset: int, entries: Sequence[int], _error: object) -> int:
            if context == self._nbd.CONTEXT_BASE_ALLOCATION:
                found.extend(entries)
            return 0

        count = min(_ASKED, self.size - offset)
        if not self._handle.can_meta_context(self._nbd.CONTEXT_BASE_ALLOCATION):
            return [(count, 0)]
        self._wait(self._called(self._handle.aio_block_status, count, offset, take))
        extents = list(zip(found[::2], found[1::2], strict=True))
        if not extents or any(length <= 0 for length, _ in extents):
            raise ImageBuildError("qemu-nbd does not say where the image has data")
        return extents

    def _wait(self, cookie: int) -> None:
        """Wait for the answer to a request."""
        last = time.monotonic()
        while not self._called(self._handle.aio_command_completed, cookie):
            if self._called(self._handle.poll, _POLL):
                last = time.monotonic()
            elif time.monotonic() - last > _SILENCE:
                raise HostError(
                    f"the image could not be read: no answer for {_SILENCE:.0f} s", "is its storage reachable?"
                )

    def _called(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except self._nbd.Error as error:
            raise _failed(self._server, f"the image could not be read: {error.string}") from error


@contextmanager
def opened(image: Path, image_format: Format) -> Iterator[NbdDisk]:
    """The disk in ``image``, read-only, while the block runs.

    Raises HostError if libnbd or qemu-nbd is not installed, CommandFailed if the image cannot be
    opened.
    """
    with _served(image, image_format, "--read-only") as disk:
        yield disk


@contextmanager
def writable(image: Path, image_format: Format) -> Iterator[NbdDisk]:
    """The same, for changing the disk; when the block ends, the image is as complete as after a shutdown of a
    machine, but not synced."""
    with _served(image, image_format, "--cache=unsafe", "--discard=unmap") as disk:
        yield disk
        disk.close()


@contextmanager
def _served(image: Path, image_format: Format, *options: str) -> Iterator[NbdDisk]:
    nbd = _libnbd()
    with TemporaryDirectory(prefix="imagebuild-") as folder:
        socket = Path(folder) / "nbd"
        if len(os.fsencode(socket)) > _LONGEST_SOCKET:
            raise HostError(f"the name of {folder} is too long for a socket", "set TMPDIR to a folder such as /var/tmp")
        argv: list[str | Path] = [
            "qemu-nbd", *options, "--format", image_format, "--socket", socket, image.absolute(),
        ]  # fmt: skip
        with started(argv) as server:
            yield NbdDisk(nbd, _connected(nbd, socket, server), server)


def check_installed() -> None:
    """HostError if libnbd is not installed."""
    _libnbd()


def _libnbd() -> ModuleType:
    try:
        import nbd
    except ImportError as error:
        raise HostError(
            "this Python cannot import nbd, libnbd's binding", system_packages.install_binding("nbd")
        ) from error
    found: ModuleType = nbd
    return found


def _connected(nbd: ModuleType, socket: Path, server: Process) -> Any:
    """A handle that is connected to the server, which may not listen yet."""
    end = time.monotonic() + _START
    while time.monotonic() < end:
        if server.poll() is not None:
            raise _failed(server, "the image could not be opened")
        if socket.exists():
            handle = nbd.NBD()
            handle.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
            try:
                handle.aio_connect_unix(str(socket))
                while handle.aio_is_connecting() and time.monotonic() < end:
                    handle.poll(_POLL)
                if handle.aio_is_ready():
                    return handle
            except nbd.Error:
                pass  # between bind() and listen(), or dead: the next round finds out
            del handle  # closes it
        time.sleep(0.02)
    raise HostError(f"qemu-nbd did not start within {_START:.0f} s")


def _failed(server: Process, what: str) -> CommandFailed:
    """The error with the last line of a server that has ended."""
    output = server.stdout.read() if server.poll() is not None and server.stdout is not None else ""
    line = output.strip().splitlines()[-1:]
    return CommandFailed(": ".join([what, *line]), command="qemu-nbd", output=output)
