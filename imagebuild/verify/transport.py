"""Runs shell scripts in a guest: through its guest agent, or through a shell on its second serial
port.
"""

from __future__ import annotations

import base64
import gzip
import re
import secrets
import time
from typing import Protocol

from imagebuild.errors import GuestError
from imagebuild.host.domain import AgentSilent, Domain, SerialStream
from imagebuild.verify.check import Printed

READY = "imagebuild-shell-ready"
PORT = "ttyS1"
UNIT = "imagebuild-verify-shell.service"
UNIT_TEXT = f"""\
[Unit]
Description=Root shell on the second serial port for imagebuild verify

[Service]
ExecStart=/bin/sh -c 'stty raw -echo; echo {READY}; exec /bin/sh'
StandardInput=tty
StandardOutput=tty
StandardError=tty
TTYPath=/dev/{PORT}
Restart=always
KillSignal=SIGKILL

[Install]
WantedBy=multi-user.target
"""
"""The unit that :class:`SerialShell` needs in a guest: only ever in an overlay."""
_POLL = 0.1
_LONGEST = 16 << 20
_PIECE = 1024
"""Bytes that are sent at a time: a terminal's input buffer in Linux has 4096."""
_CONFIRMED = 60.0
"""Seconds within which a piece must be confirmed; an emulated guest may be slow."""


class Transport(Protocol):
    """A way to run one script at a time."""

    def ready(self) -> bool:
        """Whether the guest can run scripts now."""

    def start(self, script: str) -> None:
        """Start a POSIX shell script as root."""

    def poll(self) -> Printed | None:
        """The script's output (both streams) and status, or None while it runs."""


def run(transport: Transport, script: str, *, timeout: float) -> Printed:
    """Run a script to its end. Raises GuestError after ``timeout`` seconds."""
    transport.start(script)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if (printed := transport.poll()) is not None:
            return printed
        time.sleep(_POLL)
    raise GuestError(f"a command in the guest did not end within {timeout:.0f} s")


class AgentShell:
    """The guest agent: its command guest-exec, which RHEL's family forbids by default."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self._process = 0
        self.forbidden = False

    def ready(self) -> bool:
        """Whether the agent answers and allows guest-exec; ``forbidden`` if it answers and does not."""
        try:
            info = self._domain.agent("guest-info", timeout=2)
            enabled = {one.get("name") for one in info["supported_commands"] if one.get("enabled")}
        except (AgentSilent, AttributeError, KeyError, TypeError):
            return False
        self.forbidden = "guest-exec" not in enabled
        return not self.forbidden

    def start(self, script: str) -> None:
        """Start a script."""
        arguments = {
            "path": "/bin/sh",
            "arg": ["-s"],
            "input-data": base64.b64encode(f"exec 2>&1\n{script}".encode()).decode(),
            "capture-output": True,
        }
        try:
            self._process = int(self._domain.agent("guest-exec", arguments)["pid"])
        except (AgentSilent, KeyError, TypeError, ValueError, OverflowError) as error:
            raise GuestError(f"the guest agent does not run commands: {error}") from error

    def poll(self) -> Printed | None:
        """The script's output once it has ended."""
        try:
            status = self._domain.agent("guest-exec-status", {"pid": self._process})
            if not status["exited"]:
                return None
            data = base64.b64decode(status.get("out-data", ""))
            return Printed(data.decode("utf-8", "replace").removesuffix("\n"), int(status.get("exitcode", 255)))
        except (AgentSilent, AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise GuestError(f"the guest agent does not answer any more: {error}") from error


class SerialShell:
    """The shell of ``UNIT_TEXT``, on the domain's second serial port."""

    def __init__(self, stream: SerialStream) -> None:
        self._stream = stream
        self._mark = ""
        self._read = bytearray()

    def ready(self) -> bool:
        """Whether the shell has reported itself since the last script."""
        self._take()
        return READY.encode() in self._read

    def start(self, script: str) -> None:
        """Send a script and start it.

        It is sent in pieces, each of which the shell confirms: a serial port has no flow control,
        and the guest's kernel drops what the shell does not read in time.
        """
        self._take()
        self._mark, self._read = f"imagebuild-{secrets.token_hex(8)}", bytearray()
        path = f"/run/{self._mark}"
        packed = base64.b64encode(gzip.compress(script.encode())).decode()
        for number, at in enumerate(range(0, len(packed), _PIECE)):
            self._stream.write(f"printf %s {packed[at : at + _PIECE]} >>{path}; echo got-{number}-$?\n".encode())
            self._wait_for(f"got-{number}-0".encode())
        # The mark is printed in two pieces, so that an echo of this line is not taken for it.
        half = len(self._mark) // 2
        mark = f"{self._mark[:half]} {self._mark[half:]}"
        begin, done = f"printf '%s%s\\n' {mark}", f"printf '\\n%s%s %s\\n' {mark} \"$?\""
        unpack = f"base64 -d {path} | gzip -dc >{path}.sh"
        self._read = bytearray()
        self._stream.write(
            f"{unpack}; {begin}; sh {path}.sh </dev/null 2>&1; {done}; rm -f {path} {path}.sh\n".encode()
        )

    def _wait_for(self, text: bytes) -> None:
        deadline = time.monotonic() + _CONFIRMED
        while text not in self._read:
            if time.monotonic() > deadline or self._stream.ended:
                raise GuestError("the shell on the guest's serial port does not answer")
            time.sleep(0.01)
            self._take()

    def poll(self) -> Printed | None:
        """The script's output once it has ended."""
        self._take()
        found = re.search(rb"\n%s (\d+)\r?\n" % self._mark.encode(), self._read)
        if found is None:
            if self._stream.ended:
                raise GuestError("the guest's serial port was closed")
            return None
        # What came before belongs to the shell's start, or to a script that took too long.
        begin = re.search(rb"%s\r?\n" % self._mark.encode(), self._read)
        data = self._read[begin.end() if begin is not None else 0 : found.start()]
        # Decoded as a whole: a character may arrive in two pieces.
        return Printed(data.decode("utf-8", "replace").replace("\r\n", "\n").removesuffix("\n"), int(found[1]))

    def _take(self) -> None:
        self._read += self._stream.read()
        del self._read[:-_LONGEST]
