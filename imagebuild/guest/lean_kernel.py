"""The kernel and the initramfs of an appliance built by supermin, changed so that they start faster
under emulation.

supermin's initramfs loads every module that any kind of disk or virtio device could need, one after
the other, and its kernel unpacks itself first. ``lean_start`` documents the savings of both
changes. Checksums that use special processor instructions are left to the kernel's own code: QEMU
emulates crc32 one bit at a time (``helper_crc32`` in target/i386/tcg/int_helper.c, QEMU 7.2), and
ext4 and xfs write checksums with everything.
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
    r"(crc(?!.*(?:intel|pclmul|itu|crc7))|scsi_|sd_mod|virtio_ring|virtio\.ko|virtio_pci|virtio_scsi|virtio_console|"
    r"virtio_net|failover|net_failover)"
)
"""The devices that libguestfs gives to its machine: SCSI disks, a console and a network card, all
virtio on PCI. The init script loads the one for random numbers, which ``waiting`` needs late."""
_LIST = re.compile(
    rb"070701[0-9A-Fa-f]{48}(?P<size>[0-9A-Fa-f]{8})[0-9A-Fa-f]{32}(?P<name>[0-9A-Fa-f]{8})[0-9A-Fa-f]{8}modules\0\0*"
)
"""The header of the member that lists the modules in the order in which supermin's /init loads
them."""


def lighten(cache: Path) -> bool:
    """Change the appliance below libguestfs's cache folder, if there is one and it is as supermin
    made it. Returns whether it is changed now. OSError if that fails."""
    folder = cache / f".guestfs-{os.geteuid()}"
    kernel, initrd = folder / "appliance.d" / "kernel", folder / "appliance.d" / "initrd"
    if not kernel.is_file() or not initrd.is_file():
        return False  # supermin creates it at the first start
    with _locked(folder / "lock"):
        unpacked = kernel.with_name(".kernel")
        if vmlinux.extract(kernel, unpacked):
            unpacked.replace(kernel)
        with initrd.open("rb") as file:
            archive = file.read()
        more = _fewer_modules(archive)
        if more:
            new = initrd.with_name(".initrd")
            new.write_bytes(archive + more)
            new.replace(initrd)
        return more is not None


def _fewer_modules(archive: bytes) -> bytes | None:
    """An archive to append to ``archive``, with a shorter list of modules that replaces the one
    there; empty if that has been done, None if the archive is not as expected."""
    lists = [
        archive[found.end() : found.end() + int(found["size"], 16)].decode("ascii", "replace")
        for found in _LIST.finditer(archive)
    ]
    if not lists or len(archive) % 4:
        return None
    kept = [line for line in lists[0].splitlines(keepends=True) if _NEEDED.match(line)]
    if not {"sd_mod.ko\n", "virtio_scsi.ko\n", "virtio_pci.ko\n"} <= set(kept):
        return None
    # The last list is used: it is ours if the appliance has been started before.
    if lists[-1] == "".join(kept):
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
