"""Checks what this host can and cannot do, and says how to fix it.

The checks change nothing; they start a libvirt daemon where a build would.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imagebuild.errors import ImageBuildError
from imagebuild.host import accelerator, hypervisor, system_packages
from imagebuild.host.process import environment
from imagebuild.kickstrap.mirror import host_mirror, keyring
from imagebuild.store.store import Store

Level = Literal["ok", "note", "missing"]
_GIB = 1 << 30
_PROGRAMS = {
    "virt-install": "starts the installation",
    "qemu-img": "checks images and creates vhdx",
    "mmdebstrap": "builds Debian root file systems",
    "mksquashfs": "packs the installer's runtime",
    "openssl": "hashes passwords",
    "gpgv": "verifies the signatures of a distribution's checksums",
    "xorriso": "reads and writes ISO images",
    "virtlogd": "writes the logs of serial consoles; imagebuild starts it where systemd does not",
}
_MODULES = ("guestfs", "libvirt")


@dataclass(frozen=True)
class HostFinding:
    """The result of one check: ``missing`` keeps builds from running, a ``note`` is only
    information.
    """

    level: Level
    what: str
    found: str
    mend: str | None = None


def examine(store: Store) -> Iterator[HostFinding]:
    """Check everything that a build needs, and yield the findings one by one."""
    yield from _programs()
    yield from _modules()
    verdict = accelerator.Verdict("tcg", "QEMU is not installed")
    try:
        verdict = accelerator.verdict(store.probe_cache)
        level: Level = "note" if verdict.emulated else "ok"
        yield HostFinding(level, "accelerator", f"{'emulation' if verdict.emulated else 'KVM'}: {verdict.reason}")
    except ImageBuildError as error:
        yield _failed("accelerator", error)
    yield _tried("libvirt", lambda: _libvirt(store, verdict))
    yield _appliance_kernel()
    yield _mirror()
    yield _tried("Debian's keys", lambda: str(keyring()))
    if os.geteuid() != 0:
        yield _user_namespace()
    yield _space(store)


def _programs() -> Iterator[HostFinding]:
    path = environment()["PATH"]
    for program, purpose in _PROGRAMS.items():
        found = shutil.which(program, path=path)
        if found:
            yield HostFinding("ok", program, found)
        else:
            mend = system_packages.install_program(program)
            yield HostFinding("missing", program, f"not installed; it {purpose}", mend)


def _modules() -> Iterator[HostFinding]:
    for module in _MODULES:
        if importlib.util.find_spec(module):
            yield HostFinding("ok", f"Python module {module}", "importable")
        else:
            mend = system_packages.install_binding(module)
            yield HostFinding("missing", f"Python module {module}", "not importable by this Python", mend)


def _libvirt(store: Store, verdict: accelerator.Verdict) -> str:
    with hypervisor.connected(hide_kvm=verdict.emulated) as connection:
        virt_type = "qemu" if verdict.emulated else "kvm"
        if not connection.can(virt_type):
            raise ImageBuildError(
                f"{connection.uri} cannot run {virt_type} machines", "check that qemu-system-x86 is installed"
            )
        hypervisor.check_reachable(store.root / "work", connection.qemu_uid())
        return connection.uri


def _appliance_kernel() -> HostFinding:
    what = "kernel for libguestfs"
    if chosen := os.environ.get("SUPERMIN_KERNEL"):
        return HostFinding("ok", what, chosen)
    for kernel in sorted(Path("/boot").glob("vmlinuz-*"), reverse=True):
        version = kernel.name.removeprefix("vmlinuz-")
        if os.access(kernel, os.R_OK) and Path("/lib/modules", version).is_dir():
            return HostFinding("ok", what, str(kernel))
    mend = system_packages.install_program("a kernel")
    return HostFinding("missing", what, "no kernel in /boot that this user can read and that has its modules", mend)


def _mirror() -> HostFinding:
    mirror = host_mirror()
    if mirror.main:
        return HostFinding("ok", "Debian mirror", mirror.main)
    return HostFinding("note", "Debian mirror", "none in this host's apt sources; mmdebstrap's default is used")


def _user_namespace() -> HostFinding:
    what = "mmdebstrap as this user"
    user = Path.home().owner()
    granted = any(line.startswith((f"{user}:", f"{os.getuid()}:")) for line in _lines(Path("/etc/subuid")))
    if shutil.which("newuidmap") is None:
        return HostFinding("missing", what, "newuidmap is not installed", system_packages.install_program("newuidmap"))
    if not granted:
        mend = f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
        return HostFinding("missing", what, f"{user} has no range in /etc/subuid", mend)
    return HostFinding("ok", what, "in a user namespace")


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _space(store: Store) -> HostFinding:
    free = shutil.disk_usage(store.root).free
    level: Level = "ok" if free > 8 * _GIB else "note"
    return HostFinding(level, "space for the store", f"{free / _GIB:.1f} GiB free at {store.root}")


def _tried(what: str, look: Callable[[], str]) -> HostFinding:
    try:
        return HostFinding("ok", what, look())
    except ImageBuildError as error:
        return _failed(what, error)


def _failed(what: str, error: ImageBuildError) -> HostFinding:
    return HostFinding("missing", what, error.message, error.hint)
