"""Which accelerator really works here.

A /dev/kvm that opens is not a KVM that runs a kernel (nested virtualisation, containers). So it
is proved: boot a kernel under KVM and wait for a line that only a running kernel prints. The
verdict holds for this boot of this host and this QEMU and is kept in a small file.
"""

from __future__ import annotations

import os
import platform
import shutil
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from imagebuild.errors import HostError
from imagebuild.host import probe_cache
from imagebuild.host.process import started, stop
from imagebuild.log import logger

Accelerator = Literal["kvm", "tcg"]
KVM = Path("/dev/kvm")
EMULATOR = "qemu-system-x86_64"
EMULATED_KERNEL_ARGUMENTS = ("clearcpuid=141", "no_timer_check")
"""For every kernel that we boot emulated.

``clearcpuid=141``: do not use cmpxchg16b (CPUID bit CX16). Kernels under QEMU 7.2's emulation panicked at random,
with absurd EFLAGS right behind that instruction, in 7 of 13 boots of an installed disk on a busy machine, and in none
of 8 without the instruction; that it is the cause is likely, not proven. ``no_timer_check``: a loaded host delivers
timer interrupts too late for the kernel's test of the IO-APIC, which then panics.
"""
_PATIENCE = 15.0
"""Seconds within which a kernel under a working KVM reaches its last line; a real one takes about two."""
_ANSWER = "accelerator"
_ALIVE = ("Kernel panic - not syncing", "Run /init", "Run /sbin/init")


@dataclass(frozen=True)
class Verdict:
    """What was found: the accelerator to use, and why not KVM if it is not."""

    accelerator: Accelerator
    reason: str

    @property
    def emulated(self) -> bool:
        return self.accelerator == "tcg"


def emulator() -> str:
    """The path of QEMU's system emulator. Raises HostError if there is none."""
    path = shutil.which(EMULATOR, path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/libexec")
    if path is None and Path("/usr/libexec/qemu-kvm").exists():  # RHEL's name for it
        path = "/usr/libexec/qemu-kvm"
    if path is None:
        raise HostError(f"{EMULATOR} is not installed", "run `make setup`")
    return path


def others_run() -> bool:
    """Whether a virtual machine runs on this host already, as far as this process sees."""
    for path in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            if path.read_text().startswith(("qemu-system", "qemu-kvm")):
                return True
    return False


def verdict(cache: Path, arch: str | None = None) -> Verdict:
    """The verdict for this boot of the host, proved now if ``cache``, a file of answers, does not hold it yet.

    ``arch`` is the guest's architecture: KVM runs no other than the host's own. Raises HostError if QEMU is not installed.
    """
    return _foreign(arch) or Verdict(**probe_cache.kept(cache, _ANSWER, _circumstances(), lambda: asdict(_proved())))


def known(cache: Path, arch: str | None = None) -> Verdict | None:
    """The same, but None where it would have to be proved."""
    if (foreign := _foreign(arch)) is not None:
        return foreign
    try:
        found = probe_cache.known(cache, _ANSWER, _circumstances())
    except HostError:
        return None
    return None if found is None else Verdict(**found)


def _foreign(arch: str | None) -> Verdict | None:
    if arch is None or arch == platform.machine():
        return None
    return Verdict("tcg", f"the guest is for {arch}, this host is {platform.machine()}")


def _proved() -> Verdict:
    found = prove()
    logger.info("accelerator: %s (%s)", found.accelerator, found.reason)
    return found


def prove() -> Verdict:
    """Boot a kernel under KVM and see whether it lives. Takes at most 15 seconds."""
    if not KVM.exists():
        return Verdict("tcg", f"there is no {KVM}")
    if not os.access(KVM, os.R_OK | os.W_OK):
        return Verdict("tcg", f"{KVM} may not be opened by this user (group kvm?)")
    kernel = _kernel()
    if kernel is None:
        return Verdict("tcg", "no readable kernel in /boot to prove KVM with")
    argv = [
        emulator(), "-accel", "kvm", "-m", "256", "-display", "none", "-nodefaults", "-no-user-config",
        "-no-reboot", "-serial", "stdio", "-kernel", str(kernel), "-append", "console=ttyS0 panic=-1",
    ]  # fmt: skip
    with started(argv) as process:
        watchdog = threading.Timer(_PATIENCE, stop, (process,))
        watchdog.daemon = True
        watchdog.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if any(sign in line for sign in _ALIVE):
                    return Verdict("kvm", "a kernel ran under KVM")
        finally:
            watchdog.cancel()
    return Verdict("tcg", f"{KVM} opens, but no kernel runs under it")


def _kernel() -> Path | None:
    kernels = [path for path in Path("/boot").glob("vmlinuz*") if os.access(path, os.R_OK)]
    return max(kernels, key=lambda path: path.stat().st_mtime, default=None)


def _circumstances() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    program = Path(emulator())
    node = KVM.stat().st_mode if KVM.exists() else 0
    return f"{boot} {program} {program.stat().st_mtime_ns} {node:o} {os.geteuid()}"
