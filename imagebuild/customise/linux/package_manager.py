"""The guest's own package manager, run in the guest: non-interactively, and without starting
installed services."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imagebuild.customise import local_repository
from imagebuild.customise.linux import packages
from imagebuild.customise.local_repository import Manager
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest
    from imagebuild.customise.host_inputs import HostPath

_POLICY = "/usr/sbin/policy-rc.d"
_POLICY_TEXT = "#!/bin/sh\nexit 101\n"
"""invoke-rc.d runs this program before it starts a service; exit status 101 means no."""
_APT_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
_APT = (
    "apt-get", "--yes", "--quiet", "-o", "Dpkg::Use-Pty=0", "-o", "Dpkg::Options::=--force-confold",
)  # fmt: skip
# By default, apt only warns about an unreachable source.
_APT_UPDATE = ("apt-get", "--quiet", "--error-on=any", "update")
_ZYPPER = ("zypper", "--non-interactive", "--quiet")


def install(guest: Guest, names: Sequence[str], *, recommends: bool, repository: HostPath | None = None) -> None:
    """Install packages from the guest's own sources, or only from a folder of the host.

    GuestError with the package manager's output if that fails.
    """
    if repository is None:
        with guest.network():
            _run(guest, installing(guest, names, recommends=recommends))
        return
    kind = _kind(guest, f"install {', '.join(names)}")
    with local_repository.offered(guest, kind, repository) as sources:
        _run(guest, installing(guest, names, recommends=recommends, sources=sources))


def installing(guest: Guest, names: Sequence[str], *, recommends: bool, sources: Sequence[str] = ()) -> list[list[str]]:
    """The commands with which the guest's package manager installs packages. GuestError if it
    cannot.

    ``sources`` are options that restrict it to these sources.
    """
    kind = _kind(guest, f"install {', '.join(names)}")
    foreign = [name for name in names if name[0] in "/@" and kind not in ("dnf", "yum")]
    if foreign:
        raise GuestError(
            f"{kind} cannot install a group or a path: {', '.join(foreign)}", "use the names of the packages"
        )
    if kind == "apt":
        weak = "--install-recommends" if recommends else "--no-install-recommends"
        return [[*_APT_UPDATE, *sources], [*_APT, *sources, weak, "install", "--", *names]]
    if kind == "dnf":
        return [["dnf", "--assumeyes", *sources, f"--setopt=install_weak_deps={recommends}", "install", *names]]
    if kind == "yum":
        return [["yum", "--assumeyes", *sources, "install", *names]]
    if kind == "zypper":
        weak = "--recommends" if recommends else "--no-recommends"
        return [[*_ZYPPER, *sources, "install", "--auto-agree-with-licenses", weak, *names]]
    fresh = [] if sources else ["--update-cache"]
    return [["apk", "--no-progress", *sources, "add", *fresh, *names]]


def environment(guest: Guest) -> dict[str, str]:
    """The variables that make the commands of ``installing`` non-interactive."""
    return _APT_ENVIRONMENT if packages.is_debian(guest) else {}


def remove(guest: Guest, names: Sequence[str]) -> None:
    """Remove packages and those that depend on them. GuestError with the package manager's output
    if that fails."""
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
    """Update all packages. GuestError with the package manager's output if that fails."""
    kind = _kind(guest, "update the packages")
    commands: dict[Manager, list[list[str]]] = {
        "apt": [[*_APT_UPDATE], [*_APT, "dist-upgrade"]],
        "dnf": [["dnf", "--assumeyes", "upgrade"]],
        "yum": [["yum", "--assumeyes", "upgrade"]],
        "zypper": [[*_ZYPPER, "refresh"], [*_ZYPPER, "update", "--auto-agree-with-licenses"]],
        "apk": [["apk", "--no-progress", "upgrade", "--update-cache"]],
    }
    with guest.network():
        _run(guest, commands[kind])


def _run(guest: Guest, commands: Sequence[Sequence[str]]) -> None:
    with _services_stay_off(guest):
        for argv in commands:
            guest.run(argv, environment(guest))


def record(guest: Guest, before: packages.InstalledPackages) -> None:
    """Record which packages are new, removed or of a different version since ``before``."""
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
    """Keep the scripts of Debian's packages from starting services; no other package manager
    supports this."""
    if not packages.is_debian(guest):
        yield
        return
    with guest.temporary_file(_POLICY, _POLICY_TEXT, mode=0o755):
        yield
