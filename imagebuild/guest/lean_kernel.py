"""The kernel and the initramfs of an appliance that supermin has built, changed so that they start sooner under emulation.

supermin's initramfs loads every module that a disk or a virtio device of any kind could need, one after the other, and its kernel unpacks
itself first. ``lean_start`` says what both changes save.
"""

from __future__ import annotations

import fcntl
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imagebuild.kernel import cpio, vmlinux

_NEEDED = re.compile(
    r"(crc|scsi_|sd_mod|virtio_ring|virtio\.ko|virtio_pci|virtio_scsi|virtio_console|virtio-rng|virtio_net|failover|net_failover)"
)
"""What libguestfs gives to its machine: SCSI disks, a console, random numbers and a network card, all virtio on PCI."""
_LIST = re.compile(
    rb"070701[0-9A-Fa-f]{48}(?P<size>[0-9A-Fa-f]{8})[0-9A-Fa-f]{32}(?P<name>[0-9A-Fa-f]{8})[0-9A-Fa-f]{8}modules\0\0*"
)
"""The head of the member that lists the modules in the order in which supermin's /init loads them."""


def lighten(cache: Path) -> None:
    """Change the appliance below libguestfs's folder for caches, if there is one and it is as supermin made it. OSError if that fails."""
    folder = cache / f".guestfs-{os.geteuid()}"
    kernel, initrd = folder / "appliance.d" / "kernel", folder / "appliance.d" / "initrd"
    if not kernel.is_file() or not initrd.is_file():
        return  # supermin makes it with the first start
    with _locked(folder / "lock"):
        unpacked = kernel.with_name(".kernel")
        if vmlinux.extract(kernel, unpacked):
            unpacked.replace(kernel)
        with initrd.open("rb") as file:
            archive = file.read()
        if more := _fewer_modules(archive):
            new = initrd.with_name(".initrd")
            new.write_bytes(archive + more)
            new.replace(initrd)


def _fewer_modules(archive: bytes) -> bytes:
    """An archive to come behind ``archive``, with a list of less modules in place of the one there; empty if there is nothing to do."""
    found = list(_LIST.finditer(archive))
    if len(found) != 1 or len(archive) % 4:
        return b""  # a second one is ours
    size = int(found[0]["size"], 16)
    modules = archive[found[0].end() : found[0].end() + size].decode("ascii", "replace").splitlines(keepends=True)
    kept = [line for line in modules if _NEEDED.match(line)]
    if not {"sd_mod.ko\n", "virtio_scsi.ko\n", "virtio_pci.ko\n"} <= set(kept):
        return b""
    out = io.BytesIO()
    cpio.write([cpio.file("modules", "".join(kept).encode())], out)
    return out.getvalue()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold supermin's lock."""
    with path.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield
