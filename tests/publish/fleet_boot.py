"""Runs as process 1 of a test host, in namespaces made by unshare: makes the host's root and network,
starts its daemons, and collects what they leave. It ends, and everything in the host with it, when
stdin ends. It starts a daemon again when stdin has its name in a line.

Arguments: the host's folder (see fleet_files.write_files), its name, and its port for TLS.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

WITHOUT_KVM = Path(__file__).parents[2] / "imagebuild/without-kvm.sh"
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
DAEMONS = "/run/libvirt"


def start(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, timeout=30, stdin=subprocess.DEVNULL)


def make_root(folder: Path) -> Path:
    """This machine's root, copied on write to the disk of the host."""
    system, root = folder / "system", folder / "root"
    for made in (system, root):
        made.mkdir(exist_ok=True)
    start("mount", "-o", "loop", folder / "system.img", system)
    upper = system / "upper"
    first = not upper.exists()
    if first:
        (system / "work").mkdir()
        for empty in (folder / "empty").read_text().split():
            (upper / empty).mkdir(parents=True)
            os.setxattr(upper / empty, "trusted.overlay.opaque", b"y")
    start("mount", "-t", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={system}/work", "fleet", root)
    start("mount", "-t", "proc", "proc", root / "proc")
    start("mount", "-t", "tmpfs", "-o", "mode=755", "run", root / "run")
    if first:
        start("sh", "-e", folder / "first-boot.sh", folder / "files", root)
    start("mount", "-o", "loop", folder / "pool.img", root / "data")
    (root / "data/images").mkdir(mode=0o711, exist_ok=True)
    start("mount", "--bind", root / "data/images", root / "var/lib/libvirt/images")
    # Not before: new loop devices appear in the real /dev only.
    if Path("/dev/kvm").exists():
        start("sh", WITHOUT_KVM, "true")
    for shared in ("sys", "dev"):
        start("mount", "--rbind", f"/{shared}", root / shared)
    return root


def change_root(root: Path) -> None:
    os.chdir(root)
    start("pivot_root", ".", ".")
    start("umount", "--lazy", ".")
    os.chdir("/")


class Networks:
    """The machine's network, in which the host listens, and the one of its bridges and VMs."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._outer = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._checked(self._libc.unshare(CLONE_NEWNET))
        self._inner = os.open("/proc/self/ns/net", os.O_RDONLY)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH", b"lo", IFF_UP))

    def listen(self, port: int) -> socket.socket:
        """A socket in the machine's network."""
        self._checked(self._libc.setns(self._outer, CLONE_NEWNET))
        listener = socket.create_server(("127.0.0.1", port))
        self._checked(self._libc.setns(self._inner, CLONE_NEWNET))
        return listener

    def start(self, *argv: str) -> None:
        self._checked(self._libc.setns(self._outer, CLONE_NEWNET))
        start(*argv)
        self._checked(self._libc.setns(self._inner, CLONE_NEWNET))

    def _checked(self, result: int) -> None:
        if result != 0:
            raise OSError(ctypes.get_errno(), "network namespace")


def local_socket(name: str, mode: int) -> socket.socket:
    path = Path(DAEMONS, name)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    shutil.chown(path, group="libvirt")
    path.chmod(mode)
    return listener


def start_libvirtd(networks: Networks, tls_port: int) -> None:
    """Start libvirtd with sockets as a service manager does, because they belong to two networks."""
    sockets = {
        "libvirtd.socket": local_socket("libvirt-sock", 0o770),
        "libvirtd-ro.socket": local_socket("libvirt-sock-ro", 0o777),
        "libvirtd-tls.socket": networks.listen(tls_port),
    }
    numbers = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 100) for one in sockets.values()]
    environment = {**os.environ, "LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": ":".join(sockets)}
    process = os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", "LISTEN_PID=$$ exec libvirtd"],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            *((os.POSIX_SPAWN_DUP2, number, 3 + position) for position, number in enumerate(numbers)),
        ],
    )
    # Its own file comes later.
    Path("/run/fleet-libvirtd.pid").write_text(str(process))
    for number in numbers:
        os.close(number)
    for one in sockets.values():
        one.close()


def serve(networks: Networks, tls_port: int) -> None:
    """Start the daemons that stdin names, and collect children, until stdin ends."""
    awake, wake = os.pipe()
    os.set_blocking(awake, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([0, awake], [], [])
        if awake in ready:
            os.read(awake, 4096)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        if 0 in ready:
            for name in os.read(0, 4096).decode().split() or sys.exit():
                if name == "libvirtd":
                    start_libvirtd(networks, tls_port)
                else:
                    networks.start("/usr/sbin/sshd", "-f", "/etc/ssh/fleet_config")
                os.write(1, b"ready\n")


def main() -> None:
    os.umask(0o022)
    folder, name, tls_port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    socket.sethostname(name)
    change_root(make_root(folder))
    for made in ("/run/sshd", DAEMONS, "/run/lock"):
        Path(made).mkdir()
    networks = Networks()
    start("virtlogd", "--daemon")
    serve(networks, tls_port)


main()
