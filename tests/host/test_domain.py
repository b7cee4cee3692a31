"""Frames from QEMU's socket, and a serial stream."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import libvirt
import pytest

from imagebuild.errors import HostError
from imagebuild.host import domain
from imagebuild.host.domain import SerialStream, _read_frames


@contextmanager
def reader() -> Iterator[tuple[socket.socket, list[bytes], threading.Thread]]:
    frames: list[bytes] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        thread = threading.Thread(target=_read_frames, args=(ours, frames), daemon=True)
        thread.start()
        yield theirs, frames, thread
        theirs.close()
        thread.join(10)
        assert not thread.is_alive()


def framed(frame: bytes) -> bytes:
    return len(frame).to_bytes(4, "big") + frame


def read(data: bytes, piece: int) -> list[bytes]:
    with reader() as (theirs, frames, _):
        for at in range(0, len(data), piece):
            theirs.sendall(data[at : at + piece])
    return frames


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_frames_in_pieces(piece: int) -> None:
    wanted = [b"first", b"", b"x" * 300]
    assert read(b"".join(map(framed, wanted)), piece) == wanted


@pytest.mark.parametrize("rest", [b"\0", b"\0\0\0", framed(b"abc")[:-1], framed(b"abc")[:4]])
def test_what_is_cut_off_is_no_frame(rest: bytes) -> None:
    assert read(framed(b"whole") + rest, 100) == [b"whole"]


def test_a_length_that_cannot_be_ends_the_reading() -> None:
    with reader() as (theirs, frames, thread):
        theirs.sendall(framed(b"whole") + (domain._LONGEST_FRAME + 1).to_bytes(4, "big") + framed(b"more"))
        thread.join(10)
        assert not thread.is_alive()
    assert frames == [b"whole"]


def test_the_first_frames_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "_FRAMES", 3)
    assert read(b"".join(framed(bytes([number])) for number in range(9)), 100) == [b"\0", b"\1", b"\2"]


def test_large_frames_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "_FRAME_BYTES", 1000)
    assert len(read(framed(b"x" * 300) * 9, 5000)) == 3


class FakeStream:
    """Gives one chunk after the other: bytes, -2 (it would block), or an exception."""

    def __init__(self, *chunks: Any, takes: int = 3) -> None:
        self.chunks = list(chunks)
        self.takes = takes
        self.sent = b""

    def recv(self, _size: int) -> Any:
        chunk = self.chunks.pop(0) if self.chunks else -2
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    def send(self, data: bytes) -> int:
        if self.takes < 0:
            return -2
        self.sent += data[: self.takes]
        return len(data[: self.takes])


def test_reading_a_serial_port() -> None:
    stream = SerialStream(FakeStream(b"ab", b"c", -2, b"d", b"", b"never"))
    assert (stream.read(), stream.ended) == (b"abc", False)
    assert (stream.read(), stream.ended) == (b"d", True)
    assert stream.read() == b""


def test_a_serial_port_that_fails_has_ended() -> None:
    stream = SerialStream(FakeStream(b"ab", libvirt.libvirtError("gone")))
    assert (stream.read(), stream.ended) == (b"ab", True)


def test_writing_to_a_serial_port() -> None:
    fake = FakeStream()
    SerialStream(fake).write(b"0123456789")
    assert fake.sent == b"0123456789"
    with pytest.raises(HostError, match="does not read its serial port"):
        SerialStream(FakeStream(takes=-1)).write(b"x", timeout=0)
