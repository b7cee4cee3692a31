"""Waits until a machine that was started on a host is usable."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from imagebuild.errors import BootFailed, BootStalled, HostError
from imagebuild.host.domain import AgentSilent, RunningDomain, SerialStream
from imagebuild.host.libvirt_host import LibvirtHost
from imagebuild.log import logger
from imagebuild.publish.instance_record import Sign, Usable
from imagebuild.verify.boot_console import BootConsole

_POLL = 0.5
_ASK = 2.0
"""Seconds between two questions to the guest agent and about leases."""
_ADDRESS = 0.1
"""The part of the limit that a usable machine gets to have an address."""
_AGENT_TIMEOUT = 5
SERIAL = "serial0"

Update = Callable[[str], None]
"""Called now and then with what is being done; may raise to end the wait."""


def wait(host: LibvirtHost, name: str, machine: ET.Element, limit: float, update: Update) -> Usable:
    """Wait until the guest agent answers, the machine has a DHCP lease, or its console has a login
    prompt. ``machine`` is its definition, ``limit`` is in seconds.

    Raises BootFailed if the guest fails to boot, BootStalled after the limit.
    """
    domain = RunningDomain(host, name)
    with _console(domain, machine) as stream:
        return _Wait(domain, machine, stream, limit, update).done()


@contextmanager
def _console(domain: RunningDomain, machine: ET.Element) -> Iterator[SerialStream | None]:
    """The first serial port, if there is one and libvirt lets this user read it."""
    with ExitStack() as opened:
        stream = None
        if machine.find("devices/serial[@type='pty']") is not None:
            try:
                stream = opened.enter_context(domain.serial(SERIAL))
            except HostError as error:
                logger.warning("%s: its console is not read: %s", domain.name, error)
        yield stream


class _Wait:
    """One wait."""

    def __init__(
        self, domain: RunningDomain, machine: ET.Element, stream: SerialStream | None, limit: float, update: Update
    ) -> None:
        self._domain = domain
        self._stream = stream
        self._limit = limit
        self._update = update
        channels = (target.get("name") for target in machine.findall("devices/channel/target"))
        self._has_agent = "org.qemu.guest_agent.0" in channels
        cards = [card.get("type") for card in machine.findall("devices/interface")]
        self._has_leases = "network" in cards
        self._has_address = any(kind != "user" for kind in cards)
        self._console = BootConsole()
        self._begin = time.monotonic()

    def done(self) -> Usable:
        sign: Sign | None = None
        while sign is None:
            self._update("waiting until it is usable")
            sign = self._look(self._begin + self._limit)
        seconds = time.monotonic() - self._begin
        return Usable(sign, round(seconds, 1), self._address(sign) if self._has_address else "")

    def _look(self, deadline: float) -> Sign | None:
        """A look at everything; the console is read more often."""
        until = time.monotonic() + _ASK
        while time.monotonic() < until:
            self._read()
            if self._console.login:
                return "login prompt"
            time.sleep(_POLL)
        self._check()
        if self._has_leases and self._domain.addresses("lease"):
            return "DHCP lease"
        if self._has_agent and self._agent_answers():
            return "guest agent"
        if time.monotonic() > deadline:
            raise BootStalled(
                f"{self._domain.name} was not usable within {self._limit:.0f} s: no guest agent, no DHCP lease,"
                " no login prompt",
                console=self._console.last_lines(),
                hint="a larger limit: --timeout; its console: virsh console",
            )
        return None

    def _read(self) -> None:
        if self._stream is not None:
            self._console.feed(self._stream.read())
        if self._console.failure is not None:
            what = f"{self._domain.name} does not boot: {self._console.failure}"
            raise BootFailed(what, console=self._console.last_lines())

    def _check(self) -> None:
        status = self._domain.status()
        if status not in ("running", "paused"):
            what = "was paused by an I/O error" if status == "I/O error" else f"has {status}"
            hint = "is the pool full?" if status == "I/O error" else None
            raise BootFailed(
                f"{self._domain.name} {what} while it booted", console=self._console.last_lines(), hint=hint
            )

    def _agent_answers(self) -> bool:
        try:
            self._domain.agent("guest-ping", timeout=_AGENT_TIMEOUT)
        except AgentSilent:
            return False
        return True

    def _address(self, sign: Sign) -> str:
        """An address, which may come a moment later than the first sign; empty if there is none."""
        until = time.monotonic() + _ADDRESS * self._limit
        while True:
            self._update("asking for its address")
            found = self._domain.addresses("lease") if self._has_leases else []
            if not found and self._has_agent and sign != "DHCP lease":
                found = self._domain.addresses("agent")
            if found or time.monotonic() > until:
                return found[0] if found else ""
            time.sleep(_ASK)
