"""What runs as process 1 of a test host, in namespaces made by unshare: makes the host's root, starts
its daemons, and collects what they leave. It ends, and everything in the host with it, when stdin ends.

Arguments: the host's folder, with system.img and pool.img (ext4), ``files``, which is copied into the
new root, and ``empty``, the folders that must not show what this machine has in them; and its name.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

WITHOUT_KVM = Path(__file__).parents[2] / "imagebuild/without-kvm.sh"


def start(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, timeout=30, stdin=subprocess.DEVNULL)


def make_root(folder: Path) -> Path:
    """This machine's root, copied on write to the disk of the host."""
    system, root = folder / "system", folder / "root"
    for made in (system, root):
        made.mkdir(exist_ok=True)
    start("mount", "-o", "loop", folder / "system.img", system)
    first = not (system / "upper").exists()
    if first:
        (system / "work").mkdir()
        (system / "upper").mkdir()
        for empty in (folder / "empty").read_text().split():
            (system / "upper" / empty).mkdir(parents=True)
            os.setxattr(system / "upper" / empty, "trusted.overlay.opaque", b"y")
    layers = f"lowerdir=/,upperdir={system}/upper,workdir={system}/work"
    start("mount", "-t", "overlay", "-o", layers, "fleet", root)
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


def start_daemons() -> None:
    for folder in ("/run/sshd", "/run/libvirt", "/run/lock"):
        Path(folder).mkdir(mode=0o755)
    start("virtlogd", "--daemon")
    start("libvirtd", "--daemon", "--listen")
    start("/usr/sbin/sshd", "-f", "/etc/ssh/fleet_config")
    with socket.socket(socket.AF_UNIX) as client:
        for _ in range(300):
            try:
                return client.connect("/run/libvirt/libvirt-sock")
            except OSError:
                time.sleep(0.05)
    raise TimeoutError("libvirtd does not listen")


def collect(*_: object) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def main() -> None:
    os.umask(0o022)
    socket.sethostname(sys.argv[2])
    change_root(make_root(Path(sys.argv[1])))
    start_daemons()
    signal.signal(signal.SIGCHLD, collect)
    os.write(1, b"ready\n")
    os.read(0, 1)


main()
