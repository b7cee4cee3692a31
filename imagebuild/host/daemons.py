"""libvirt's daemons on a host without a service manager: started on demand, they exit when idle."""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import TypeVar

from imagebuild.errors import CommandFailed, HostError
from imagebuild.host.process import MARK, environment, run, started
from imagebuild.log import logger

T = TypeVar("T")

IDLE = "120"
"""Seconds without a client or a VM after which a daemon that was started here exits."""
_DAEMONS = ("libvirtd", "virtqemud")
_SOCKETS = {"libvirtd": "libvirt", "virtqemud": "virtqemud"}
_LOG_SOCKET = "/run/libvirt/virtlogd-sock"


def sees(process: int, folder: Path) -> bool:
    try:
        return (Path(f"/proc/{process}/root") / folder.relative_to("/")).samefile(folder)
    except FileNotFoundError:
        return False


def private_daemon() -> int | None:
    """The process ID of a running libvirt daemon with its own mount namespace, like one that was
    started here.
    """
    for name in _DAEMONS:
        with suppress(OSError, ValueError):
            pid = int(Path(f"/run/{name}.pid").read_text())
            if Path(f"/proc/{pid}/ns/mnt").readlink() != Path("/proc/self/ns/mnt").readlink():
                return pid
    return None


@contextmanager
def log_daemon() -> Iterator[None]:
    """Keep libvirt's log daemon, which writes the consoles' logs, from exiting as idle by
    connecting a client.
    """
    client = _log_client() or _started("virtlogd", (), _log_client)
    if client is None:
        raise HostError("libvirt's log daemon (virtlogd) does not answer", "`imagebuild doctor` says what to install")
    with client:
        yield


def _log_client() -> socket.socket | None:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.connect(_LOG_SOCKET)
    except OSError:
        client.close()
        return None
    return client


def start_daemon(connect: Callable[[], T | None], *, hide_kvm: bool) -> T | None:
    """Start libvirt's daemon, because the host has no service manager to do it, and connect."""
    daemon = _installed()
    prefix = _without_kvm() if hide_kvm and Path("/dev/kvm").exists() else ()
    return _started(daemon, prefix, connect)


@contextmanager
def private_session() -> Iterator[Path]:
    """An unprivileged daemon that ends with the block; the path of its socket.

    Its sockets and its configuration are in a temporary folder; what it finds out about QEMU it keeps
    in the user's cache, where the session's daemon looks for it. Raises HostError.
    """
    daemon = _installed()
    with tempfile.TemporaryDirectory(prefix="imagebuild-") as folder:
        own = {"XDG_RUNTIME_DIR": folder, "XDG_CONFIG_HOME": folder, MARK: ""}
        path = Path(folder, "libvirt", f"{_SOCKETS[daemon]}-sock")
        with started([daemon, "--timeout", IDLE], env=own) as process:
            for _ in range(300):
                if path.exists() or process.poll() is not None:
                    break
                time.sleep(0.1)
            else:
                raise HostError(f"{daemon} does not start", "see its messages: journalctl, or ~/.cache/libvirt")
            if not path.exists():
                assert process.stdout is not None
                said = (process.stdout.read().strip().splitlines() or ["it ended at once"])[-1]
                raise HostError(f"{daemon} cannot run as this user: {said}", "is the home folder writable?")
            yield path


def _installed() -> str:
    """The daemon that is installed here. Raises HostError if there is none."""
    path = environment()["PATH"]
    daemon = next((name for name in _DAEMONS if shutil.which(name, path=path)), None)
    if daemon is None:
        raise HostError("no libvirt daemon is installed", "`imagebuild doctor` says what to install")
    return daemon


def _without_kvm() -> tuple[str, ...]:
    """A command prefix that hides /dev/kvm; empty where that is impossible, as in a plain chroot,
    which is slower.
    """
    own_mounts = ("unshare", "--mount", "--propagation", "slave")
    if run([*own_mounts, "true"], timeout=30, check=False).returncode != 0:
        return ()
    return (*own_mounts, "sh", str(resources.files("imagebuild") / "without-kvm.sh"))


def _started(name: str, prefix: Sequence[str], connect: Callable[[], T | None]) -> T | None:
    """Start a daemon and connect to it. If another build starts it at the same time, this one
    exits; that is no failure.
    """
    logger.info("starting %s, which exits after %s s without work", name, IDLE)
    failure = None
    try:
        # It also serves other runs, and must not be mistaken for a program of this one.
        run([*prefix, name, "--daemon", "--timeout", IDLE], timeout=30, env={MARK: ""})
    except CommandFailed as error:
        failure = error
    for _ in range(100):
        if (client := connect()) is not None:
            return client
        time.sleep(0.1)
    if failure is not None:
        raise failure
    return None
