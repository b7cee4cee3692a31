"""Commands in a real guest that reach the host, if and only if they request it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imagebuild import customise
from imagebuild.customise import registry
from imagebuild.errors import GuestError

pytestmark = [pytest.mark.guestfs, pytest.mark.slow]

HOST = "169.254.2.2"
"""The address of the host's loopback interface in libguestfs's network."""


@contextmanager
def listening() -> Iterator[tuple[int, list[bytes]]]:
    """A port of the loopback interface, and what was sent to it, one line per connection."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, connection.makefile("rwb") as stream:
                    heard.append(stream.readline())
                    stream.write(b"heard\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], heard
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_command_has_the_network_that_it_asks_for(debian: Path, tmp_path: Path) -> None:
    with listening() as (port, heard):

        def saying(word: str) -> list[str]:
            talk = f"exec 3<>/dev/tcp/{HOST}/{port} && echo {word} >&3 && grep -q heard <&3"
            return ["bash", "-c", f"grep -q ^nameserver /etc/resolv.conf && {talk}"]

        def run(*calls: tuple[str, bool], network: bool = True) -> None:
            customise.run(
                debian,
                "raw",
                [registry.call("run-command", {"command": saying(word), "network": asked}) for word, asked in calls],
                accel="tcg",
                workdir=tmp_path,
                network=network,
            )

        with pytest.raises(GuestError, match="run-command would need the network, which is switched off"):
            run(("forbidden", True), network=False)
        with pytest.raises(GuestError, match=r"run-command: bash failed in the guest: .*unreachable"):
            run(("first", True), ("second", True), ("silent", False))
    assert heard == [b"first\n", b"second\n"]
