"""A conversation with an agent: it never waits for longer than the other end may be silent."""

from __future__ import annotations

import os
import select
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from imagebuild.errors import HostError
from imagebuild.host.process import TimeoutExpired, started
from imagebuild.printable import one_line
from imagebuild.publish.agent.framing import LENGTHS, BrokenMessage, header_of, lengths, packed
from imagebuild.publish.agent_source import agent_source, bootstrap

STALL = 60.0
"""Seconds without a byte in either direction, after which a connection counts as dead. Agents give a
sign of life each second.
"""
_GRACE = 5.0
"""Seconds that an agent gets to end."""
_BLOCK = 1 << 18
_NO_PROGRAM = (126, 127)
"""Exit statuses of a shell that cannot run a program."""


Done = Callable[[int], None]
Reply = tuple[dict[str, Any], bytes]
"""A header and a body."""


def _ignored(_done: int) -> None:
    pass


class NoAgentError(HostError):
    """A host has no Python that the agent runs with; it can be reached in another way only."""


class Channel:
    """A running agent. ``command`` turns the words of a program into those of the command that runs it
    on the host; ``name`` is for messages. Raises HostError, from all methods.
    """

    def __init__(self, command: Callable[[Sequence[str]], list[str]], name: str, stall: float = STALL) -> None:
        self._name = name
        self._stall = stall
        self._received = bytearray()
        self.moved = 0
        """Bytes that were sent and received so far."""
        argv = command(["python3", *bootstrap()])
        with ExitStack() as stack:
            self._said = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace"))
            self._process = stack.enter_context(started(argv, stdin=True, stderr=self._said, grace=_GRACE))
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
            os.set_blocking(self._input, False)
            os.set_blocking(self._output, False)
            self._stack = stack.pop_all()
        try:
            self._write(agent_source())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the agent."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        with suppress(TimeoutExpired):
            self._process.wait(_GRACE)
        self._stack.close()

    def call(self, header: dict[str, Any], body: bytes = b"", progress: Done = _ignored) -> Reply:
        """Send a request and return its reply; ``progress`` gets the figures that come before it.
        Raises HostError if the agent could not do it.
        """
        self.send(header, body, progress)
        return self.reply(progress)

    def send(self, header: dict[str, Any], body: bytes = b"", progress: Done = _ignored) -> None:
        """Send a request that has no reply, or whose reply is fetched later. Raises HostError if an
        earlier one failed.
        """
        self._write(packed(header, len(body)))
        self._write(body)
        while self._is_complete():
            if (reply := self._taken(progress)) is not None:
                raise HostError(f"{self._name}: the agent replied to nothing: {one_line(str(reply[0]))}")

    def reply(self, progress: Done = _ignored) -> Reply:
        """The next reply."""
        while True:
            if (reply := self._taken(progress)) is not None:
                return reply

    def _is_complete(self) -> bool:
        if len(self._received) < LENGTHS.size:
            return False
        try:
            return len(self._received) >= LENGTHS.size + sum(lengths(bytes(self._received[: LENGTHS.size])))
        except BrokenMessage:
            return True  # enough to see that it is none

    def _taken(self, progress: Done) -> Reply | None:
        """The next message; None if it was only about progress."""
        header, body = self._message()
        if "progress" in header:
            done = header["progress"]
            progress(done if isinstance(done, int) else 0)
            return None
        if "error" in header:
            raise _error(self._name, str(header.get("kind")), one_line(str(header["error"])))
        return header, body

    def _message(self) -> Reply:
        try:
            header_length, body_length = lengths(self._read(LENGTHS.size))
            header = header_of(self._read(header_length))
        except BrokenMessage as error:
            raise HostError(
                f"{self._name}: the agent's answer makes no sense: {error}",
                "make sure that the login shell there prints nothing for commands that are not interactive",
            ) from error
        return header, self._read(body_length)

    def _read(self, length: int) -> bytes:
        while len(self._received) < length:
            self._pump(b"")
        data = bytes(self._received[:length])
        del self._received[:length]
        return data

    def _write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[self._pump(view) :]

    def _pump(self, data: bytes | memoryview) -> int:
        """Move bytes in either direction, at least one. Returns how many of ``data`` were sent."""
        begin = time.monotonic()
        while time.monotonic() - begin < self._stall:
            readable, writable, _ = select.select(
                [self._output], [self._input] if data else [], [], min(1.0, self._stall)
            )
            if readable:
                found = os.read(self._output, _BLOCK)
                if not found:
                    raise self._ended()
                self._received += found
                self.moved += len(found)
            if writable:
                try:
                    count = os.write(self._input, data[:_BLOCK])
                except BlockingIOError:
                    continue
                except OSError:
                    raise self._ended() from None
                self.moved += count
                return count
            if readable:
                return 0
        raise HostError(
            f"{self._name} has not answered for {self._stall:g} s",
            "check the network and the host, and publish again: what has arrived is used",
        )

    def _ended(self) -> HostError:
        with suppress(TimeoutExpired):
            self._process.wait(_GRACE)
        self._said.seek(0)
        lines = [line for line in self._said.read(1 << 16).splitlines() if line.strip()]
        why = f": {one_line(lines[-1].strip())}" if lines else ""
        if self._process.returncode in _NO_PROGRAM:
            return NoAgentError(f"{self._name} has no python3 to run the agent with{why}", "install Python 3 there")
        return HostError(
            f"{self._name}: the connection to the agent was lost{why}",
            "check the network and the host, and publish again: what has arrived is used",
        )


def _error(host: str, kind: str, why: str) -> HostError:
    match kind:
        case "full":
            return HostError(f"{host} has no room: {why}", "free some space there: imagebuild prune")
        case "busy":
            return HostError(f"{host}: {why}", "wait until it is done, and publish again")
    return HostError(f"{host}: {why}", "check the pool's folder and its permissions")
