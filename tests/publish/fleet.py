"""Several libvirt hosts on this machine, for tests and benchmarks.

Each host has its own namespaces (processes, mounts, host name), a root that is this machine's, copied
on write to a disk of its own, and in it libvirtd, virtlogd and an SSH server on a port of the loopback
interface. KVM is hidden. Needs root, and nothing of a service manager.

    with fleet(5, folder=tmp_path) as hosts:
        hosts[0].virsh("pool-list")

Clients find the keys by ``hosts[0].keys.environment``: it puts an ssh first on PATH that uses
``keys.ssh_config``, so that the URIs are those that a user would write. A host that has just been
started may need another second before libvirtd answers; clients wait for it.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.publish import fleet_cable, fleet_files
from tests.publish.fleet_files import HOST_KEY, POOL, Keys

GIB = 1 << 30
_HERE = Path(__file__).parent
_NAMESPACES = ("--mount", "--pid", "--uts", "--ipc")
"""Those of process 1, which makes a network of its own later."""
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
}


class HostFailed(Exception):
    """A command in a host failed, or a host does not start."""


@dataclass
class FleetHost:
    """A libvirt host. It keeps its disks, its keys and its ports when it is killed and started again."""

    folder: Path
    keys: Keys
    port: int
    """SSH, on 127.0.0.1."""
    tls_port: int
    pool_path: str = POOL
    """The folder of its pool ``default``, as the host sees it."""
    _unshare: subprocess.Popen[str] | None = field(default=None, repr=False)
    _init: int = 0

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def identity(self) -> Path:
        """The private key that its accounts accept."""
        return self.keys.identity

    @property
    def known_hosts(self) -> Path:
        """Where a client finds its host key; the same file for the whole fleet."""
        return self.keys.known_hosts

    @property
    def ssh_config(self) -> Path:
        """For ``ssh -F``, scp and rsync."""
        return self.keys.ssh_config

    @property
    def uri(self) -> str:
        """As a user would write it: a client needs ``keys.bin`` first on PATH, or ``identity`` and
        ``known_hosts``.
        """
        return self.address()

    @property
    def tls_uri(self) -> str:
        return f"qemu+tls://127.0.0.1:{self.tls_port}/system?pkipath={self.keys.pki}"

    def address(self, user: str = "root", path: str = "system") -> str:
        """The URI for another account (``fleet_files.ACCOUNTS``) or for a user's own daemon, ``session``."""
        return f"qemu+ssh://{user}@127.0.0.1:{self.port}/{path}"

    def outside(self, path: str) -> Path:
        """One of the host's files, as this process can open it while the host runs. Links to absolute
        paths lead astray.
        """
        return Path(f"/proc/{self._init}/root") / path.lstrip("/")

    def run(self, *argv: str, timeout: float = 60) -> str:
        """Run a command in the host, as root, without SSH, and return what it prints."""
        command = ("nsenter", f"--target={self._init}", *_NAMESPACES, "--net", "--", *argv)
        try:
            done = subprocess.run(
                command, env=_ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
            )
        except subprocess.TimeoutExpired as error:
            raise HostFailed(f"{self.name}: {' '.join(argv)}: not finished after {timeout} s") from error
        if done.returncode != 0:
            raise HostFailed(f"{self.name}: {' '.join(argv)}: exit status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def virsh(self, *argv: str, timeout: float = 60) -> str:
        """Run virsh in the host, with the daemon there."""
        return self.run("virsh", "--quiet", "--connect", "qemu:///system", *argv, timeout=timeout)

    def kill(self) -> None:
        """End everything in the host, as if it had crashed: its connections are closed or reset."""
        if self._unshare is not None:
            if self._init:
                with suppress(ProcessLookupError):
                    os.kill(self._init, signal.SIGKILL)
            # The end of its stdin ends it, too. It has ended when unshare has, and with it all others.
            self._unshare.communicate(timeout=60)
            self._unshare = None
            self._init = 0
            self._wait(lambda: not self._loop_devices(), "its disks are still in use")

    def restart(self) -> None:
        """Start the host, with what is on its disks; end it first if it runs."""
        self.kill()
        boot = ("/usr/bin/python3", "-IS", _HERE / "fleet_boot.py", self.folder, self.name, str(self.tls_port))
        # When this process ends, so does the host's stdin, and the host.
        with (self.folder / "boot.log").open("a") as log:
            self._unshare = subprocess.Popen(
                ["unshare", *_NAMESPACES, "--fork", "--kill-child", *boot],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=_ENVIRONMENT, cwd="/",
            )  # fmt: skip
        for daemon in ("sshd", "libvirtd"):
            self._start(daemon)
        process = self._unshare.pid
        self._init = int(Path(f"/proc/{process}/task/{process}/children").read_text())
        # sshd goes into the background before it listens.
        self._wait(self._listens, "its SSH server does not listen")

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False

    def kill_libvirtd(self) -> None:
        """End its libvirtd, but neither its VMs nor its SSH server."""
        self._end("KILL", "/run/fleet-libvirtd.pid")

    def start_libvirtd(self) -> None:
        self._start("libvirtd")

    def _end(self, signal_name: str, pid_file: str) -> None:
        wait = "while kill -0 $pid 2>/dev/null; do sleep 0.05; done"
        self.run("sh", "-ec", f"pid=$(cat {pid_file}); kill -{signal_name} $pid; {wait}")

    def _start(self, daemon: str) -> None:
        assert self._unshare is not None
        assert self._unshare.stdin is not None
        assert self._unshare.stdout is not None
        with suppress(BrokenPipeError):
            print(daemon, file=self._unshare.stdin, flush=True)
        if self._unshare.stdout.readline() != "ready\n":
            self.kill()
            lines = (self.folder / "boot.log").read_text().splitlines()
            raise HostFailed("\n".join([f"{self.name} does not start {daemon}:", *lines[-15:]]))

    def _loop_devices(self) -> list[Path]:
        files = Path("/sys/block").glob("loop*/loop/backing_file")
        return [file for file in files if file.read_text().startswith(f"{self.folder}/")]

    def _wait(self, condition: Callable[[], bool], otherwise: str) -> None:
        for _ in range(200):
            if condition():
                return
            time.sleep(0.05)
        raise HostFailed(f"{self.name}: {otherwise}")

    def cut(self) -> None:
        """Pull its network cable: no packet arrives, and no connection ends."""
        fleet_cable.pull(self._init, {self.port, self.tls_port})

    def mend(self) -> None:
        """Plug it in again. Connections go on if both sides have waited."""
        fleet_cable.plug(self._init, {self.port, self.tls_port})

    def fill(self, bytes_left: int) -> None:
        """Leave only so many bytes, rounded up to a MiB, in the pool's file system."""
        self.clear()
        with self.outside("/data/filler").open("xb") as filler:
            free = os.fstatvfs(filler.fileno())
            os.posix_fallocate(filler.fileno(), 0, max(free.f_bavail * free.f_frsize - bytes_left, 1))

    def clear(self) -> None:
        """Undo :meth:`fill`."""
        self.outside("/data/filler").unlink(missing_ok=True)

    def new_host_key(self) -> None:
        """Give its SSH server another key, which ``known_hosts`` does not have."""
        self.run("sh", "-ec", f"rm /{HOST_KEY}*; ssh-keygen -q -t ed25519 -N '' -f /{HOST_KEY}")
        self._end("TERM", "/run/sshd.pid")
        self._start("sshd")
        self._wait(self._listens, "its SSH server does not listen")

    def without(self, *programs: str) -> None:
        """Remove programs, as ``find -name`` finds them, from the host for good."""
        for program in programs:
            self.run("find", *_ENVIRONMENT["PATH"].split(":"), "-xdev", "-name", program, "-delete")


@contextmanager
def fleet(count: int, *, folder: Path, pool_size: int = 8 * GIB) -> Iterator[list[FleetHost]]:
    """``count`` running hosts, host1 and so on, each with an active pool ``default`` of ``pool_size``
    bytes in a sparse file in ``folder``. Nothing of them is left at the end but keys and logs in ``folder``.
    """
    if os.geteuid() != 0:
        raise HostFailed("only root can make the namespaces and disks of hosts")
    keys = fleet_files.make_keys(folder)
    ports = _free_ports(2 * count)
    hosts = [
        FleetHost(folder / f"host{number}", keys, port=ports.pop(), tls_port=ports.pop())
        for number in range(1, count + 1)
    ]
    for host in hosts:
        _make(host, pool_size)
    try:
        with ThreadPoolExecutor(max(count, 1)) as threads:
            list(threads.map(FleetHost.restart, hosts))
        yield hosts
    finally:
        for host in hosts:
            host.kill()
            # pytest keeps the folders of several runs.
            for disk in host.folder.glob("*.img"):
                disk.unlink()


def _make(host: FleetHost, pool_size: int) -> None:
    host.folder.mkdir()
    fleet_files.write_files(host.folder, host.keys, port=host.port)
    public = fleet_files.ssh_key(host.folder / "files" / HOST_KEY)
    with host.known_hosts.open("a") as known:
        known.write(f"[127.0.0.1]:{host.port} {public}")
    fleet_files.make_disk(host.folder / "system.img", 4 * GIB)
    fleet_files.make_disk(host.folder / "pool.img", pool_size)


def _free_ports(count: int) -> list[int]:
    """Below those that connections get by themselves, so that they stay free while a host is down."""
    free: set[int] = set()
    while len(free) < count:
        port = 20_000 + secrets.randbelow(12_000)
        with suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            free.add(port)
    return sorted(free)
