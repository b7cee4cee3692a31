"""A running clone: booted until it is usable, followed on its console, and ended."""

from __future__ import annotations

import base64
import shlex
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from imagebuild.errors import BootFailed, BootStalled, EmulatorFault, GuestError, HostError
from imagebuild.host.accelerator import Accelerator
from imagebuild.host.domain import Domain
from imagebuild.host.hypervisor import Hypervisor
from imagebuild.host.stall import Stall
from imagebuild.host.tail import Tail
from imagebuild.log import logger
from imagebuild.verify.boot_console import BootConsole
from imagebuild.verify.check import CloneSeed, Printed
from imagebuild.verify.clone_xml import CloneXml
from imagebuild.verify.transport import AgentShell, SerialShell, Transport, run

_POLL = 0.2
STALL = 90.0
"""Seconds without console output, traffic and CPU use after which a booting guest counts as
stalled."""
_SHELL_AFTER_LOGIN = 120.0
"""Seconds after the login prompt within which the guest agent must answer."""
_STATE = (
    "systemctl is-system-running --wait >/dev/null 2>&1; "
    'while s=$(systemctl is-system-running 2>/dev/null); [ "$s" = starting ] || [ "$s" = initializing ]; '
    'do sleep 1; done; echo "$s"; cat /proc/sys/kernel/random/boot_id'
)
"""Waits until systemd has started everything; a guest without systemd answers immediately."""
_TIMER_TEST = "IO-APIC + timer doesn't work"
"""A kernel's panic when timer interrupts come too late, as from an emulator on a busy host."""
_BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
_UPLOAD = 48 << 10


@dataclass(frozen=True)
class BootOptions:
    """How a clone is booted: ``limit`` is in seconds; with ``shell`` commands run through the shell
    on its second serial port, else through its guest agent. ``wait`` is False if the guest is
    usable once commands run, whatever it still starts.
    """

    accelerator: Accelerator
    limit: float
    shell: bool = False
    wait: bool = True
    stall: float = STALL


class Clone:
    """A running clone, as checks see it (:class:`imagebuild.verify.check.RunningGuest`)."""

    def __init__(self, domain: Domain, definition: CloneXml, options: BootOptions, console_log: Path) -> None:
        self.domain = domain
        self.definition = definition
        self.options = options
        self.emulated = options.accelerator == "tcg"
        self.seconds_to_login = 0.0
        self.ssh_port: int | None = None
        self.seed: CloneSeed | None = None
        self.frames: list[bytes] = []
        self.transport: Transport = AgentShell(domain)
        self._console = BootConsole()
        self._tail = Tail(console_log)
        self._boot_id = ""

    # What RunningGuest promises.

    @property
    def vcpus(self) -> tuple[int, int]:
        return self.domain.vcpus()

    @property
    def memory(self) -> tuple[int, int]:
        return self.domain.memory()

    @property
    def console(self) -> str:
        self._read_console()
        return self._console.text

    def run(self, script: str, *, timeout: float = 60.0) -> Printed:
        return run(self.transport, script, timeout=timeout * (4 if self.emulated else 1))

    def upload(self, data: bytes, path: str) -> None:
        name = shlex.quote(path)
        self.run(f"umask 077; : > {name} && chmod 0700 {name}")
        for at in range(0, len(data), _UPLOAD):
            block = base64.b64encode(data[at : at + _UPLOAD]).decode()
            self.run(f"base64 -d >> {name} <<'END'\n{block}\nEND")

    def set_vcpus(self, count: int) -> None:
        self.domain.set_vcpus(count)

    def set_memory(self, size: int) -> None:
        self.domain.set_memory(size)

    def reboot(self, *, timeout: float) -> float:
        before, begin = self._boot_id, time.monotonic()
        self._console.again()
        self.transport.start("(sleep 1; systemctl reboot || reboot) >/dev/null 2>&1 &")
        while self._boot_id == before:
            left = begin + timeout - time.monotonic()
            if left <= 0:
                raise TimeoutError
            with suppress(GuestError):
                self._follow(left, rebooting=before)
        return time.monotonic() - begin

    def shut_down(self, *, timeout: float) -> float:
        begin = time.monotonic()
        self.domain.press_power()
        while self.domain.hypervisor.state(self.domain.name).status != "gone":
            if time.monotonic() - begin > timeout:
                raise TimeoutError
            time.sleep(_POLL)
        return time.monotonic() - begin

    # How it gets there.

    def wait_until_usable(self) -> None:
        """Follow the boot. Raises BootFailed with a sentence that says why it will not end."""
        begin = time.monotonic()
        self._follow(self.options.limit)
        if not self.seconds_to_login:
            self.seconds_to_login = time.monotonic() - begin

    def _follow(self, limit: float, rebooting: str | None = None) -> None:
        begin, asked, login_at = time.monotonic(), False, None
        stall = Stall(self.options.stall, begin)
        while True:
            now = time.monotonic()
            spoke = self._read_console()
            if self._console.login and login_at is None:
                login_at = now
                self.seconds_to_login = self.seconds_to_login or now - begin
            self._check(now - begin, limit, stall, spoke=spoke)
            if asked:
                asked = self._poll_state(rebooting)
                if not asked:
                    return
            elif self.transport.ready():
                # A reboot has worked once another kernel runs commands: what it starts was checked before.
                self.transport.start(_STATE if self.options.wait and rebooting is None else _BOOT_ID)
                asked = True
            elif isinstance(self.transport, AgentShell) and self.transport.forbidden:
                raise GuestError("the guest agent of the image does not run commands: guest-exec is blocked")
            elif login_at is not None and now - login_at > _SHELL_AFTER_LOGIN:
                raise GuestError("the guest has booted to its login prompt, but no guest agent answers")
            time.sleep(_POLL)

    def _poll_state(self, rebooting: str | None) -> bool:
        """Whether the guest still starts. After a reboot, an answer of the old boot does not count."""
        printed = self.transport.poll()
        if printed is None:
            return True
        boot_id = printed.lines[-1] if printed.lines else ""
        if boot_id == rebooting:
            raise GuestError("the guest has not rebooted yet")
        self._boot_id = boot_id
        return False

    def _read_console(self) -> bool:
        data = self._tail.read()
        if data:
            self._console.feed(data)
        return bool(data)

    def _check(self, elapsed: float, limit: float, stall: Stall, *, spoke: bool) -> None:
        state = self.domain.hypervisor.state(self.domain.name)
        if state.status == "gone":
            self._read_console()
            how = f" ({state.cause})" if state.cause else ""
            raise self._failed(self._console.failure or f"the machine stopped{how}")
        if state.status == "paused":
            raise HostError(
                "a clone's overlay could not be written: the host's file system is full or failing",
                "free some space, or use another file system with --store",
            )
        if self._console.failure is not None:
            raise self._failed(self._console.failure)
        if elapsed > limit:
            raise self._failed(f"the guest is not usable after {limit:.0f} s")
        if stall.waits(time.monotonic(), self.domain.hypervisor.usage(self.domain.name), spoke=spoke):
            raise self._failed(f"the guest has been idle for {stall.limit:.0f} s", BootStalled)

    def _failed(self, what: str, kind: type[BootFailed] = BootFailed) -> BootFailed:
        if self.emulated and _TIMER_TEST in what:
            kind = EmulatorFault
        return kind(what, console=self._console.last_lines())


@contextmanager
def started(
    hypervisor: Hypervisor, name: str, definition: CloneXml, options: BootOptions, console_log: Path
) -> Iterator[Clone]:
    """A started clone, which is ended with the block. It has not booted yet."""
    hypervisor.start(definition.text)
    domain = Domain(hypervisor, name)
    with ExitStack() as stack:
        stack.callback(_end, hypervisor, name)
        clone = Clone(domain, definition, options, console_log)
        if definition.cards:
            clone.frames = stack.enter_context(domain.mirrored())
            clone.ssh_port = _forwarded(domain)
        if options.shell:
            clone.transport = SerialShell(stack.enter_context(domain.serial("serial1")))
        domain.resume()
        yield clone


def _end(hypervisor: Hypervisor, name: str) -> None:
    hypervisor.end(name)
    with suppress(OSError):
        hypervisor.qemu_log(name).unlink()


def _forwarded(domain: Domain) -> int | None:
    """A free port on 127.0.0.1 that is forwarded to the guest's SSH port; None if QEMU refuses."""
    for _ in range(5):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        try:
            domain.forward(port, 22)
        except HostError as error:
            logger.info("%s", error.message)
            continue
        return port
    return None
