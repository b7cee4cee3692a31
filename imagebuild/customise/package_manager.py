"""The guest's own package manager, run in the guest: without questions, and without starting what it installs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imagebuild.customise import local_repository, packages
from imagebuild.customise.local_repository import Manager
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest
    from imagebuild.customise.supplies import HostPath

_POLICY = "/usr/sbin/policy-rc.d"
_POLICY_TEXT = "#!/bin/sh\nexit 101\n"
"""invoke-rc.d asks this program before it starts a service; 101 means no."""
_APT_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
_APT = (
    "apt-get", "--yes", "--quiet", "-o", "Dpkg::Use-Pty=0", "-o", "Dpkg::Options::=--force-confold",
)  # fmt: skip
_ZYPPER = ("zypper", "--non-interactive", "--quiet")


def install(guest: Guest, names: Sequence[str], *, recommends: bool, repository: HostPath | None = None) -> None:
    """Install packages with the guest's own sources, or from a folder of the host and from nowhere else.

    GuestError with what the package manager said if that fails.
    """
    kind = _kind(guest, f"install {', '.join(names)}")
    if repository is None:
        _install(guest, kind, names, [], recommends=recommends)
        return
    with local_repository.offered(guest, kind, repository) as sources:
        _install(guest, kind, names, sources, recommends=recommends)


def _install(guest: Guest, kind: Manager, names: Sequence[str], sources: Sequence[str], *, recommends: bool) -> None:
    """``sources`` are options that tell the package manager where to look."""
    if kind == "apt":
        weak = "--install-recommends" if recommends else "--no-install-recommends"
        with _services_stay_off(guest):
            # An unreachable source is only a warning to apt unless told otherwise.
            guest.run(["apt-get", *sources, "--quiet", "--error-on=any", "update"], _APT_ENVIRONMENT)
            guest.run([*_APT, *sources, weak, "install", "--", *names], _APT_ENVIRONMENT)
    elif kind == "dnf":
        guest.run(["dnf", "--assumeyes", *sources, f"--setopt=install_weak_deps={recommends}", "install", *names])
    elif kind == "yum":
        guest.run(["yum", "--assumeyes", *sources, "install", *names])
    elif kind == "zypper":
        weak = "--recommends" if recommends else "--no-recommends"
        guest.run([*_ZYPPER, *sources, "install", "--auto-agree-with-licenses", weak, *names])
    else:
        fresh = [] if sources else ["--update-cache"]
        guest.run(["apk", "--no-progress", *sources, "add", *fresh, *names])


def remove(guest: Guest, names: Sequence[str]) -> None:
    """Remove packages, and with them those that need them. GuestError with what the package manager said if that fails."""
    kind = _kind(guest, f"remove {', '.join(names)}")
    if kind == "apt":
        with _services_stay_off(guest):
            guest.run([*_APT, "purge", "--", *names], _APT_ENVIRONMENT)
    elif kind in ("dnf", "yum"):
        guest.run([kind, "--assumeyes", "remove", *names])
    elif kind == "zypper":
        guest.run([*_ZYPPER, "remove", *names])
    else:
        guest.run(["apk", "--no-progress", "del", *names])


def update(guest: Guest) -> None:
    """Bring all packages up to date. GuestError with what the package manager said if that fails."""
    kind = _kind(guest, "update the packages")
    if kind == "apt":
        with _services_stay_off(guest):
            guest.run(["apt-get", "--quiet", "--error-on=any", "update"], _APT_ENVIRONMENT)
            guest.run([*_APT, "dist-upgrade"], _APT_ENVIRONMENT)
    elif kind in ("dnf", "yum"):
        guest.run([kind, "--assumeyes", "upgrade"])
    elif kind == "zypper":
        guest.run([*_ZYPPER, "refresh"])
        guest.run([*_ZYPPER, "update", "--auto-agree-with-licenses"])
    else:
        guest.run(["apk", "--no-progress", "upgrade", "--update-cache"])


def record(guest: Guest, before: packages.Installed) -> None:
    """Put on record which packages are new, gone or of another version since ``before``."""
    after = packages.installed(guest).versions
    for name in sorted({*before.versions, *after}):
        old, new = before.versions.get(name), after.get(name)
        if old != new:
            what = f"installed {new}" if old is None else "removed" if new is None else f"updated to {new}"
            guest.record(f"package {name}", what)


def _kind(guest: Guest, purpose: str) -> Manager:
    if packages.is_debian(guest):
        return "apt"
    if packages.is_redhat(guest):
        managers: tuple[Manager, ...] = ("zypper", "dnf", "yum")
        for name in managers:
            if guest.exists(f"/usr/bin/{name}"):
                return name
    if packages.is_alpine(guest):
        return "apk"
    raise GuestError(f"cannot {purpose}: the guest has none of apt, dnf, yum, zypper and apk")


@contextmanager
def _services_stay_off(guest: Guest) -> Iterator[None]:
    with guest.temporary_file(_POLICY, _POLICY_TEXT, mode=0o755):
        yield
