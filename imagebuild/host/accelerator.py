"""Determines which accelerator actually works on this host.

A /dev/kvm that can be opened does not mean that KVM can run a kernel (nested virtualisation,
containers). So it is tested: a kernel is booted under KVM, and must print a line that only a
running kernel prints. The verdict is valid for this boot of the host and this QEMU, and is stored
in a small file.
"""

from __future__ import annotations

import os
import platform
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from imagebuild.errors import HostError
from imagebuild.host import probe_cache
from imagebuild.host.process import Process, started, stop
from imagebuild.log import logger

Accelerator = Literal["kvm", "tcg"]
KVM = Path("/dev/kvm")
EMULATOR = "qemu-system-x86_64"
EMULATED_KERNEL_ARGUMENTS = ("clearcpuid=141", "no_timer_check", "norandmaps")
"""Arguments for every kernel that is booted under emulation.

``clearcpuid=141``: do not use cmpxchg16b (CPUID bit CX16). Kernels under QEMU 7.2's emulation
panicked at random, with impossible EFLAGS right after that instruction, in 7 of 13 boots of an
installed disk on a busy machine, and in none of 8 without the instruction; it is the likely cause,
but that is not proven. ``no_timer_check``: a loaded host delivers timer interrupts too late for the
kernel's test of the IO-APIC, and the kernel then panics. ``norandmaps``: programs and their libraries are
always at the same addresses. QEMU 7.2 keeps translated code by its virtual address, so otherwise it
translates the loader and the C library again for each program that is started: measured in an
installer's machine, ``sed`` takes 30 to 80 ms instead of 220 to 290, and ``cat`` 35 instead of 130 to 170.
These machines are thrown away; what isolates them is that they are machines.
"""
SLOW_EMULATED = "erms"
"""A feature of x86 CPUs that no emulated machine of ours has, unless a recipe names it: with it Linux
copies and clears memory by ``rep movsb`` and ``rep stosb``, which QEMU 7.2 emulates byte by byte.
Without it, reading 1 MiB blocks of /dev/zero is 7 times, and reading a file from the page cache 5
times as fast (findings/qemu-tcg-erms-slow-copies.sh).
"""
_PATIENCE = 15.0
"""Seconds within which a kernel under a working KVM must reach its last line; normally it takes
about two.
"""
_SILENT = 3.0
"""Seconds of processor time within which this kernel must print its first line: under emulation, which is
far slower than KVM, it takes one second. Load does not make it longer.
"""
_FIRST = "Linux version"
"""In the kernel's first line. What firmware and boot code print before it says nothing: they run where a
kernel does not.
"""
_ANSWER = "accelerator"
_ALIVE = ("Kernel panic - not syncing", "Run /init", "Run /sbin/init")


@dataclass(frozen=True)
class Verdict:
    """The result: the accelerator to use, and the reason if it is not KVM."""

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
        raise HostError(f"{EMULATOR} is not installed", "`imagebuild doctor` says what to install")
    return path


def others_run() -> bool:
    """Whether a virtual machine already runs on this host, as far as this process can see."""
    for path in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            if path.read_text().startswith(("qemu-system", "qemu-kvm")):
                return True
    return False


def verdict(cache: Path, arch: str | None = None) -> Verdict:
    """The verdict for this boot of the host, tested now if it is not in the probe cache ``cache``
    yet.

    ``arch`` is the guest's architecture: KVM runs only the host's own. Raises HostError if QEMU is
    not installed.
    """
    return _foreign(arch) or Verdict(**probe_cache.kept(cache, _ANSWER, _circumstances(), lambda: asdict(_proved())))


def known(cache: Path, arch: str | None = None) -> Verdict | None:
    """Like ``verdict``, but None if it would have to be tested."""
    if (foreign := _foreign(arch)) is not None:
        return foreign
    return probe_cache.once((_ANSWER, cache), lambda: _known(cache))


def _known(cache: Path) -> Verdict | None:
    try:
        found = probe_cache.known(cache, _ANSWER, _circumstances())
    except HostError:
        return None
    return None if found is None else Verdict(**found)


def _foreign(arch: str | None) -> Verdict | None:
    if arch is None or arch == platform.machine():
        return None
    return Verdict("tcg", f"the guest is for {arch}, but this host is {platform.machine()}")


def _proved() -> Verdict:
    found = prove()
    logger.info("accelerator: %s (%s)", found.accelerator, found.reason)
    return found


def refused() -> bool:
    """Whether there is a KVM that this user may not open."""
    return KVM.exists() and not os.access(KVM, os.R_OK | os.W_OK)


def _watch(process: Process, spoken: threading.Event, ended: threading.Event) -> None:
    """Stop ``process`` if its machine prints nothing in time, or does not come to its end."""
    deadline = time.monotonic() + _PATIENCE
    while not ended.wait(0.1):
        if time.monotonic() > deadline or (not spoken.is_set() and _cpu_seconds(process.pid) > _SILENT):
            stop(process)
            return


def _cpu_seconds(pid: int) -> float:
    """Processor time of the children of ``pid``, which are still running."""
    ticks = 0
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            numbers = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            ticks += int(numbers[11]) + int(numbers[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def prove() -> Verdict:
    """Boot a kernel under KVM and check that it runs. Takes at most 15 seconds."""
    if not KVM.exists():
        return Verdict("tcg", f"there is no {KVM}")
    if refused():
        return Verdict("tcg", f"this user may not open {KVM} (is it in the group kvm?)")
    kernel = _kernel()
    if kernel is None:
        return Verdict("tcg", "there is no readable kernel in /boot to test KVM with")
    argv = [
        # ends QEMU also when this process is killed: under a KVM that does not work it would run for ever
        "timeout", "--signal=KILL", f"{2 * _PATIENCE:.0f}",
        emulator(), "-accel", "kvm", "-m", "256", "-display", "none", "-nodefaults", "-no-user-config",
        "-no-reboot", "-serial", "stdio", "-kernel", str(kernel),
        "-append", "console=ttyS0 earlyprintk=ttyS0 panic=-1",
    ]  # fmt: skip
    with started(argv) as process:
        spoken, ended = threading.Event(), threading.Event()
        threading.Thread(target=_watch, args=(process, spoken, ended), daemon=True).start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if _FIRST in line:
                    spoken.set()
                if any(sign in line for sign in _ALIVE):
                    return Verdict("kvm", "a kernel ran under KVM")
        finally:
            ended.set()
    return Verdict("tcg", f"{KVM} can be opened, but a kernel does not run under it")


def _kernel() -> Path | None:
    kernels = [path for path in Path("/boot").glob("vmlinuz*") if os.access(path, os.R_OK)]
    return max(kernels, key=lambda path: path.stat().st_mtime, default=None)


def _circumstances() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    program = Path(emulator())
    node = KVM.stat().st_mode if KVM.exists() else 0
    return f"{boot} {program} {program.stat().st_mtime_ns} {node:o} {os.geteuid()}"
