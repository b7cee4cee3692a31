"""The only module that uses libvirt: connects (starting a daemon if there is none), watches and
ends domains.
"""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from enum import StrEnum
from operator import methodcaller
from pathlib import Path
from typing import Any, Literal, TypeVar
from xml.sax.saxutils import unescape

import libvirt

from imagebuild.errors import HostError
from imagebuild.host import daemons
from imagebuild.host.hints import command_line
from imagebuild.host.stall import Usage
from imagebuild.log import logger

T = TypeVar("T")

SYSTEM = "qemu:///system"
SESSION = "qemu:///session"
_AUTOSTART = "LIBVIRT_AUTOSTART"
"""libvirt's variable: with 0, its library does not start the daemon of a session."""
_RESTART = 60.0
"""Seconds within which a daemon must answer again after a restart."""


class Cause(StrEnum):
    """Why a domain does not run, as shown in messages."""

    SHUT_DOWN = "shut down"
    DESTROYED = "destroyed"
    CRASHED = "crashed"
    FAILED = "failed"
    IO_ERROR = "I/O error"
    OTHER = "was stopped otherwise"
    UNTOLD = ""


@dataclass(frozen=True)
class DomainState:
    """``gone`` once the domain has stopped; ``cause`` if libvirt reported it."""

    status: Literal["running", "paused", "gone"]
    cause: Cause = Cause.UNTOLD


class Hypervisor:
    """A connection to a libvirt daemon that runs QEMU on this host."""

    def __init__(self, connect: Callable[[], Any], uri: str) -> None:
        self.uri = uri
        self._connect = connect
        self._stopped: dict[str, Cause] = {}
        self._started: dict[str, float] = {}
        self._connection = self._attached()

    def _attached(self) -> Any:
        connection = self._connect()
        connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_lifecycle, None)
        return connection

    def of(self, name: str, question: Callable[[Any], T]) -> T:
        """The domain's answer to ``question``; raises libvirtError if there is no such domain.

        Reconnects to a daemon that was restarted meanwhile: machines keep running without it, and
        it finds them again.
        """
        try:
            return question(self._connection.lookupByName(name))
        except libvirt.libvirtError:
            if self._connection.isAlive():
                raise
        logger.warning("the libvirt daemon at %s is gone; connecting again", self.uri)
        self.close()
        self._connection = self._attached()
        return question(self._connection.lookupByName(name))

    def close(self) -> None:
        """Close the connection."""
        with suppress(libvirt.libvirtError):
            self._connection.close()

    def _on_lifecycle(self, _connection: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
        if event == libvirt.VIR_DOMAIN_EVENT_STARTED:
            self._started[domain.name()] = time.monotonic()
        elif event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
            self._stopped[domain.name()] = _STOPPED.get(detail, Cause.OTHER)

    def start(self, xml: str) -> None:
        """Start a transient domain, paused. It ends when this connection is closed.

        Raises HostError with libvirt's reason.
        """
        flags = libvirt.VIR_DOMAIN_START_PAUSED | libvirt.VIR_DOMAIN_START_AUTODESTROY
        with self._translated("start the machine"):
            self._connection.createXML(xml, flags)

    def can(self, virt_type: str, arch: str = "x86_64") -> bool:
        """Whether a domain of this type (``kvm`` or ``qemu``) can be started here."""
        try:
            self._connection.getDomainCapabilities(None, arch, None, virt_type)
        except libvirt.libvirtError:
            return False
        return True

    def qemu_uid(self) -> int:
        """The user that QEMU runs as: the current one, or that of the system daemon's DAC model."""
        capabilities = self._connection.getCapabilities()
        found = re.search(r"<model>dac</model>.*?<baselabel type='(?:kvm|qemu)'>\+(\d+):", capabilities, re.DOTALL)
        return int(found[1]) if found else os.geteuid()

    def started_at(self, name: str) -> float:
        """When the domain started, by time.monotonic(); the current time if that was not seen."""
        return self._started.get(name, time.monotonic())

    def state(self, name: str) -> DomainState:
        """The current state of the domain. Raises HostError if the daemon does not answer."""
        with self._translated(f"ask libvirt for the domain {name}"):
            try:
                status, reason = self.of(name, lambda domain: domain.state())
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise
                return DomainState("gone", self._why_stopped(name))
        if status in (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED):
            return DomainState("gone", self._why_stopped(name))
        if status == libvirt.VIR_DOMAIN_PAUSED:
            io_error = reason == libvirt.VIR_DOMAIN_PAUSED_IOERROR
            return DomainState("paused", Cause.IO_ERROR if io_error else Cause.OTHER)
        return DomainState("running")

    def _why_stopped(self, name: str) -> Cause:
        for _ in range(10):  # the event may come a moment after the domain is gone
            if name in self._stopped:
                break
            time.sleep(0.1)
        return self._stopped.get(name, Cause.UNTOLD)

    def usage(self, name: str) -> Usage | None:
        """The resources that the domain has used so far, or None if it is gone."""
        kinds = libvirt.VIR_DOMAIN_STATS_CPU_TOTAL | libvirt.VIR_DOMAIN_STATS_BLOCK | libvirt.VIR_DOMAIN_STATS_INTERFACE
        try:
            ((_, figures),) = self.of(name, lambda domain: self._connection.domainListGetStats([domain], kinds, 0))
        except (libvirt.libvirtError, ValueError):
            return None
        traffic = sum(value for key, value in figures.items() if key.endswith(".bytes"))
        return Usage(cpu=figures.get("cpu.time", 0) / 1e9, traffic=traffic)

    def names(self) -> list[str]:
        """The names of all domains, running or not."""
        with self._translated("list libvirt's domains"):
            return [str(domain.name()) for domain in self._connection.listAllDomains()]

    def descriptions(self) -> dict[str, str]:
        """The description of each domain that has one, by the domain's name."""
        found = {}
        with self._translated("list libvirt's domains"):
            for domain in self._connection.listAllDomains():
                with suppress(libvirt.libvirtError):  # it has none, or is gone
                    found[str(domain.name())] = str(domain.metadata(libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, None))
        return found

    def xml(self, name: str) -> str:
        """The domain's live XML, or an empty text if it is gone."""
        try:
            return str(self.of(name, lambda domain: domain.XMLDesc()))
        except libvirt.libvirtError:
            return ""

    def end(self, name: str) -> None:
        """End the domain immediately, if it exists, and remove its definition, if it has one."""
        for ending in ("destroy", "undefine"):
            with suppress(libvirt.libvirtError, HostError):
                self.of(name, methodcaller(ending))

    def pools(self) -> dict[str, str]:
        """The storage pools: the folder of each, by name; empty for those that have none."""
        found = {}
        with self._translated("list libvirt's storage pools"):
            for pool in self._connection.listAllStoragePools():
                with suppress(libvirt.libvirtError):  # it is gone
                    path = re.search(r"<path>(.*?)</path>", pool.XMLDesc())
                    found[str(pool.name())] = unescape(path[1]) if path else ""
        return found

    def forget_pool(self, name: str) -> None:
        """Remove the definition of a storage pool; its folder and files stay."""
        for ending in ("destroy", "undefine"):
            with suppress(libvirt.libvirtError):
                methodcaller(ending)(self._connection.storagePoolLookupByName(name))

    def qemu_log(self, name: str) -> Path:
        """The path of QEMU's log of the domain, which libvirt writes."""
        if self.uri == SYSTEM:
            return Path("/var/log/libvirt/qemu") / f"{name}.log"
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "libvirt/qemu/log" / f"{name}.log"

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except libvirt.libvirtError as error:
            raise HostError(f"cannot {what}: {error}", "is the libvirt daemon still running?") from error


_STOPPED = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: Cause.SHUT_DOWN,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED: Cause.DESTROYED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: Cause.CRASHED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED: Cause.FAILED,
}


def default_uri() -> str:
    """``qemu:///system`` for root (which has no session), ``qemu:///session`` for other users."""
    return SYSTEM if os.geteuid() == 0 else SESSION


def answers() -> bool:
    """Whether a daemon answers, or would be started on demand. Nothing is started here."""
    start_event_loop()
    if default_uri() != SYSTEM or _has_systemd():
        return True
    connection, _ = _open(SYSTEM)
    if connection is None:
        return False
    connection.close()
    return True


@contextmanager
def connected(*, hide_kvm: bool = False) -> Iterator[Hypervisor]:
    """A connection to this user's libvirt. If no daemon runs, one is started that exits when idle.

    ``hide_kvm`` affects only a daemon that is started here: a KVM that does not work is hidden from
    it, otherwise it probes QEMU again at every look-up. Raises HostError.
    """
    start_event_loop()
    uri = default_uri()
    start_it = uri == SYSTEM and not _has_systemd()
    opened: list[Hypervisor] = []

    def connect() -> Any:
        deadline = time.monotonic() + (_RESTART if opened else 0)
        while True:
            connection, reason = _open(uri)
            if connection is None and start_it:
                connection = daemons.start_daemon(lambda: _open(uri)[0], hide_kvm=hide_kvm)
            if connection is not None:
                return connection
            if time.monotonic() > deadline:
                raise HostError(f"libvirt does not answer at {uri}: {reason}", _mend(uri))
            time.sleep(1)

    with daemons.log_daemon() if start_it else nullcontext():
        opened.append(Hypervisor(connect, uri))
        try:
            yield opened[0]
        finally:
            opened[0].close()


@contextmanager
def probed(*, hide_kvm: bool = False) -> Iterator[Hypervisor]:
    """As ``connected``, for a look at what libvirt can do: a daemon that is started in a user's session
    ends with the block.

    Such a daemon has its own folders, so it is not the session's, and starts none of its machines.
    """
    if default_uri() == SYSTEM or _session_runs():
        with connected(hide_kvm=hide_kvm) as connection:
            yield connection
        return
    with daemons.private_session() as socket_path:
        uri = f"{SESSION}?socket={socket_path}"

        def connect() -> Any:
            connection, reason = _open(uri)
            if connection is None:
                raise HostError(f"libvirt does not answer: {reason}", _mend(SESSION))
            return connection

        opened = Hypervisor(connect, SESSION)
        try:
            yield opened
        finally:
            opened.close()


def _session_runs() -> bool:
    """Whether the daemon of this user's session runs already. Nothing is started here."""
    start_event_loop()
    before = os.environ.get(_AUTOSTART)
    os.environ[_AUTOSTART] = "0"
    try:
        connection, _ = _open(SESSION)
    finally:
        os.environ.pop(_AUTOSTART)
        if before is not None:
            os.environ[_AUTOSTART] = before
    if connection is None:
        return False
    connection.close()
    return True


def check_reachable(path: Path, uid: int) -> None:
    """Raise HostError if QEMU's user cannot reach ``path``, or the daemon does not see it.

    Each parent folder must be searchable by that user. A daemon that was started here has its own
    mount namespace, which lacks what was mounted later.
    """
    if uid in (0, os.geteuid()):
        return
    for folder in path.resolve().parents:
        status = folder.stat()
        if not (status.st_mode & stat.S_IXOTH or status.st_uid == uid):
            raise HostError(
                f"QEMU (user {uid}) cannot reach {path}: {folder} is not searchable by other users",
                f"{command_line('chmod', 'o+x', folder)}, or choose another folder with --store",
            )
    daemon = daemons.private_daemon()
    if daemon is not None and not daemons.sees(daemon, path.resolve().parent):
        raise HostError(
            f"the libvirt daemon (process {daemon}) was started before the file system of {path} was mounted",
            f"it exits after {daemons.IDLE} s without work; build again then",
        )


def _open(uri: str) -> tuple[Any, str]:
    """A connection, or None and libvirt's reason."""
    try:
        return libvirt.open(uri), ""
    except libvirt.libvirtError as error:
        return None, str(error)


def _has_systemd() -> bool:
    return Path("/run/systemd/system").exists()


def _mend(uri: str) -> str:
    if uri == SYSTEM and _has_systemd():
        return "start it: systemctl start libvirtd (or virtqemud.socket)"
    return "`imagebuild doctor` says what to install"


_loop_started = threading.Lock()


def start_event_loop() -> None:
    """Register libvirt's event loop and run it in a thread, once per process."""
    if not _loop_started.acquire(blocking=False):
        return
    libvirt.registerErrorHandler(lambda _context, _error: None, None)  # otherwise libvirt prints to stderr
    libvirt.virEventRegisterDefaultImpl()

    def turn() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=turn, name="libvirt-events", daemon=True).start()
