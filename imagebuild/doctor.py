"""Checks what this host can and cannot do, and says how to fix it.

The checks change nothing. In a user's session they leave no libvirt daemon behind; where there is no
service manager, the system's daemons are started as by a build, and exit when they are idle.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.events import JsonLine
from imagebuild.host import accelerator, system_packages, user_namespace
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
class HostFinding(JsonLine):
    """The result of one check: ``missing`` keeps builds from running, a ``note`` is only
    information.
    """

    event: Literal["requirement"] = field(default="requirement", kw_only=True)
    level: Level
    what: str
    found: str
    mend: str | None = None


@dataclass(frozen=True, kw_only=True)
class HostAbility(JsonLine):
    """What this host can do: whether these commands work, for ``what``. ``missing`` names the checks
    that keep them from it, ``emulated`` says that their machines run without KVM, which is slow.
    """

    event: Literal["ability"] = "ability"
    what: str
    commands: tuple[str, ...]
    works: bool
    emulated: bool
    missing: tuple[str, ...]


_STORE = "store"
_ACCELERATOR = "accelerator"
_LIBVIRT = "libvirt"
_KERNEL = "kernel for libguestfs"
_KEYS = "Debian's keys"
_NAMESPACE = "mmdebstrap as this user"
_BINDING = "Python module libvirt"
_GUESTFS = (_STORE, _ACCELERATOR, "qemu-img", "Python module guestfs", _KERNEL)
_MACHINE = (_STORE, _ACCELERATOR, "qemu-img", "virtlogd", _BINDING, _LIBVIRT)
_INSTALLATION = (*_GUESTFS, *_MACHINE, "virt-install", "openssl")
_ABILITIES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "recipes and projects",
        ("init", "import", "list", "lint", "render", "hosts", "schema", "operations", "checks"),
        (),
    ),
    ("plans and the store", ("plan", "graph", "history", "store", "gc"), (_STORE,)),
    (
        "Debian images",
        ("build", "rebuild"),
        (*_INSTALLATION, "mmdebstrap", "mksquashfs", _KEYS, _NAMESPACE),
    ),
    ("images of the RHEL family and Fedora", ("build",), (*_INSTALLATION, "gpgv", "xorriso")),
    ("all images of a project, every night", ("nightly",), _INSTALLATION),
    ("images on several machines", ("farm", "worker"), _INSTALLATION),
    ("booted clones of an image", ("verify", "run"), _MACHINE),
    ("the disk of an image", ("scrub", "audit", "inspect", "diff", "sbom"), _GUESTFS),
    ("finished images", ("export", "shelf"), ("qemu-img",)),
    ("signatures", ("attest", "verify-signature"), ()),
    ("a page of the artifacts", ("page",), ()),
    ("libvirt hosts", ("publish", "templates", "rollback", "prune", "instantiate"), (_BINDING,)),
)
"""What for, the commands, and the checks that none of them can do without."""


def abilities(findings: Sequence[HostFinding]) -> Iterator[HostAbility]:
    """What works on a host with these findings. Pure."""
    missing = {one.what for one in findings if one.level == "missing"}
    emulated = any(one.what == _ACCELERATOR and one.level == "note" for one in findings)
    for what, commands, needed in _ABILITIES:
        lacking = tuple(dict.fromkeys(name for name in needed if name in missing))
        slow = emulated and not lacking and _ACCELERATOR in needed
        yield HostAbility(what=what, commands=commands, works=not lacking, emulated=slow, missing=lacking)


def examine(store: Store | HostError) -> Iterator[HostFinding]:
    """Check everything that a build needs, and yield the findings one by one.

    Without a store, ``store`` is the reason, which is one of the findings.
    """
    yield from _programs()
    yield from _modules()
    verdict = accelerator.Verdict("tcg", "QEMU is not installed")
    try:
        verdict = accelerator.prove() if isinstance(store, HostError) else accelerator.verdict(store.probe_cache)
        level: Level = "note" if verdict.emulated else "ok"
        mend = "sudo usermod --append --groups kvm $USER, then log in again" if accelerator.refused() else None
        yield HostFinding(level, _ACCELERATOR, f"{'emulation' if verdict.emulated else 'KVM'}: {verdict.reason}", mend)
    except ImageBuildError as error:
        yield _failed(_ACCELERATOR, error)
    if importlib.util.find_spec("libvirt"):
        yield _tried(_LIBVIRT, lambda: _libvirt(store, verdict))
    yield _appliance_kernel()
    yield _mirror()
    yield _tried(_KEYS, lambda: str(keyring()))
    if os.geteuid() != 0:
        yield _tried(_NAMESPACE, _user_namespace)
    if isinstance(store, HostError):
        yield _failed(_STORE, store)
    else:
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


def _libvirt(store: Store | HostError, verdict: accelerator.Verdict) -> str:
    from imagebuild.host import hypervisor  # needs the module libvirt, which may be missing

    if user_namespace.user_name() == str(os.getuid()):
        raise HostError(
            f"user {os.getuid()} has no entry in /etc/passwd, and libvirt needs one",
            "add one, or run as a user that has one",
        )
    with hypervisor.probed(hide_kvm=verdict.emulated) as connection:
        virt_type = "qemu" if verdict.emulated else "kvm"
        if not connection.can(virt_type):
            raise ImageBuildError(
                f"{connection.uri} cannot run {virt_type} machines", "check that qemu-system-x86 is installed"
            )
        if isinstance(store, Store):
            hypervisor.check_reachable(store.root / "work", connection.qemu_uid())
        return connection.uri


def _appliance_kernel() -> HostFinding:
    what = _KERNEL
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


def _user_namespace() -> str:
    user_namespace.require()
    return "in a user namespace"


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
