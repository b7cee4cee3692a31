"""Supervises an installation: starts the VM, follows it to its verdict, and leaves nothing behind.

Success means this build's nonce on the console, then a power-off, and no sign of failure in
between. That virt-install succeeded, or that the VM stopped, proves nothing.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from imagebuild.errors import CommandFailed, HostError, InstallFailed, InstallStalled
from imagebuild.host.hypervisor import Cause, DomainState, Hypervisor
from imagebuild.host.process import run
from imagebuild.host.stall import Stall
from imagebuild.host.tail import Tail
from imagebuild.install.console import Console
from imagebuild.install.script import repeat_script
from imagebuild.log import logger
from imagebuild.machine.virt_install import InstallMachine, command
from imagebuild.progress import Progress

_POLL = 0.25
_START_LIMIT = 180.0
"""Seconds that virt-install may take to start the domain: it only copies a kernel and an initrd."""
_LAST_WORDS = 15.0
"""Seconds that a failing installer has to print its reasons and power off."""
STALL = 300.0
"""Seconds without console output, traffic and CPU use after which a VM counts as stalled."""


@dataclass(frozen=True)
class Installed:
    """A successful installation: how long the VM ran, and how long its installer took to start, in
    seconds.

    The second is 0.0 if the installer does not report its start, as Anaconda does not.
    """

    seconds: float
    seconds_to_installer: float


def install(
    hypervisor: Hypervisor,
    machine: InstallMachine,
    *,
    nonce: str,
    timeout: float,
    progress: Progress,
    evidence: Path,
    alone: AbstractContextManager[None],
    folder: Path,
    stall: float = STALL,
) -> Installed:
    """Install to the targets of ``machine``. Times are in seconds.

    Raises InstallFailed with a one-sentence reason, after writing domain XML, QEMU's log and the
    command to the folder ``evidence`` (which also contains the machine's logs). In any case the
    domain is removed. While ``alone`` is held, no other virt-install runs; the storage pools that it
    defines, and all in ``folder``, are removed again.
    """
    console = Console(nonce)
    xml = ""
    try:
        progress.update("virt-install")
        with alone, _without_new_pools(hypervisor, folder):
            _start(machine)
        xml = hypervisor.xml(machine.name)
        follower = _Follower(hypervisor, machine, console, progress, timeout, Stall(stall, time.monotonic()))
        follower.follow()
        begun, ended = hypervisor.started_at(machine.name), time.monotonic()
        _judge(console, hypervisor.state(machine.name))
    except BaseException as error:
        _keep_evidence(hypervisor, machine, xml or hypervisor.xml(machine.name), evidence)
        if isinstance(error, CommandFailed):
            raise InstallFailed(error.message, hint=error.hint) from error
        raise
    finally:
        hypervisor.end(machine.name)
        with suppress(OSError):
            hypervisor.qemu_log(machine.name).unlink()
    return Installed(ended - begun, max(0.0, follower.installer_at - begun) if follower.installer_at else 0.0)


@contextmanager
def _without_new_pools(hypervisor: Hypervisor, folder: Path) -> Iterator[None]:
    """Remove the storage pools that virt-install defines, with autostart, for the folder of each file
    that it is given (virtinst 4.1), and those in ``folder`` that killed ones left. The running machine
    needs none.
    """
    before = hypervisor.pools()
    try:
        yield
    finally:
        for name, path in hypervisor.pools().items():
            if name not in before or folder in Path(path).parents:
                hypervisor.forget_pool(name)


def _start(machine: InstallMachine) -> None:
    """Start the domain with virt-install. It must not fail only because libosinfo does not know the
    guest yet.
    """
    hint = "`imagebuild doctor` shows what this host lacks"
    try:
        run(command(machine), timeout=_START_LIMIT, stop_signal=signal.SIGINT, hint=hint)
    except CommandFailed as error:
        if machine.osinfo is None or "Unknown OS name" not in error.output:
            raise
        logger.info("libosinfo does not know %s; all devices are set explicitly anyway", machine.osinfo)
        run(command(replace(machine, osinfo=None)), timeout=_START_LIMIT, stop_signal=signal.SIGINT, hint=hint)


class _Follower:
    """Reads the console's log as it grows, until the domain stops, fails or times out."""

    def __init__(
        self,
        hypervisor: Hypervisor,
        machine: InstallMachine,
        console: Console,
        progress: Progress,
        timeout: float,
        stall: Stall,
    ) -> None:
        self.hypervisor, self.machine, self.console, self.progress = hypervisor, machine, console, progress
        self.deadline, self.limit = time.monotonic() + timeout, f"{timeout // 60:.0f}:{timeout % 60:02.0f}"
        self.stall = stall
        self.tail = Tail(machine.console_log)
        self.failed_at: float | None = None
        self.installer_at: float | None = None

    def follow(self) -> None:
        while True:
            state = self.hypervisor.state(self.machine.name)
            moved = self._read()
            if state.status == "gone":
                self._read()
                return
            if state.status == "paused" and state.cause:
                self._paused(state)
            self._check(moved=moved)
            time.sleep(_POLL)

    def _read(self) -> bool:
        data = self.tail.read()
        if data:
            self.console.feed(data)
            if self.console.started and self.installer_at is None:
                self.installer_at = time.monotonic()
            self.progress.update(self.console.doing, self.console.fraction, self._waits_for())
        return bool(data)

    def _waits_for(self) -> str:
        last = self.console.last_lines(1)
        return f"the installer; last line of its console: {last[0].strip()}" if last else "the installer"

    def _check(self, *, moved: bool) -> None:
        """End the VM if it lingers after a failure, asks a question, stalls, or times out."""
        now = time.monotonic()
        if self.console.failure is not None:
            self.failed_at = self.failed_at or now
            if self.console.waiting or now - self.failed_at > _LAST_WORDS:
                self.hypervisor.end(self.machine.name)
            return
        if now > self.deadline:
            raise self._failed(f"did not finish within its time limit of {self.limit}", "set vm.timeout in the recipe")
        if self.stall.waits(now, self.hypervisor.usage(self.machine.name), spoke=moved):
            raise self._failed(
                f"has been idle for {self.stall.limit:.0f} s",
                "the last lines of the console may show what it is waiting for",
                InstallStalled,
            )

    def _paused(self, state: DomainState) -> None:
        if state.cause is Cause.IO_ERROR:
            raise HostError(
                f"the VM's disk {self.machine.targets[0].path} could not be written: the host's file system is "
                "full or failing",
                "free some space, or use another file system with --store",
            )
        raise self._failed("was paused by QEMU or by a user", None)

    def _failed(self, what: str, hint: str | None, kind: type[InstallFailed] = InstallFailed) -> InstallFailed:
        message = f"the installation {what}; last step: {self.console.doing}"
        return kind(message, console=self.console.last_lines(), hint=hint)


def _judge(console: Console, state: DomainState) -> None:
    """Raise InstallFailed unless the nonce was seen, nothing failed and the VM powered off."""
    last = console.last_lines()
    if console.failure is not None:
        raise InstallFailed(f"the installation failed: {console.failure}", console=last)
    if not console.success:
        how = f" ({state.cause})" if state.cause else ""
        raise InstallFailed(
            f"the VM stopped{how} without the success marker; last step: {console.doing}",
            console=last,
            hint="the installer ended before the kickstart's last %post, or that did not finish",
        )
    if state.cause not in (Cause.SHUT_DOWN, Cause.UNTOLD):
        raise InstallFailed(f"the installation succeeded, but then the VM {state.cause}", console=last)


def _keep_evidence(hypervisor: Hypervisor, machine: InstallMachine, xml: str, folder: Path) -> None:
    with suppress(OSError):  # the disk may be full, which may be the reason for the failure
        (folder / "repeat.sh").write_text(repeat_script(machine))
        if xml:
            (folder / "domain.xml").write_text(xml)
        log = hypervisor.qemu_log(machine.name)
        if log.exists():
            (folder / "qemu.log").write_bytes(log.read_bytes())
    logger.debug("kept evidence of the failed installation in %s", folder)
