"""The packages installed in a guest, read from its package database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagebuild.customise.linux import dpkg
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagebuild.customise.guest import Guest

APK_INSTALLED = "/lib/apk/db/installed"
_LARGEST_STATUS = 64 << 20
"""The size limit in bytes; a desktop with 3000 packages has 4 MiB."""


@dataclass(frozen=True)
class InstalledPackages:
    """The packages of a guest: name to version; the names with the architecture; and the names that
    they provide."""

    versions: dict[str, str]
    provided: frozenset[str] = frozenset()
    qualified: frozenset[str] = frozenset()

    def has(self, name: str) -> bool:
        """Whether a package with this name is installed, with or without an architecture."""
        return name in self.versions or name in self.qualified

    def missing(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Those of ``wanted`` that are neither installed nor provided by an installed package."""
        return tuple(name for name in wanted if not self.has(name) and name not in self.provided)


def is_debian(guest: Guest) -> bool:
    """Whether the guest uses dpkg."""
    return guest.is_file(dpkg.STATUS)


def is_redhat(guest: Guest) -> bool:
    """Whether the guest uses rpm."""
    return any(guest.is_file(f"/{folder}/rpm") for folder in ("usr/bin", "bin"))


def is_alpine(guest: Guest) -> bool:
    """Whether the guest uses apk."""
    return guest.is_file(APK_INSTALLED)


def installed(guest: Guest) -> InstalledPackages:
    """All packages of the guest; empty if it has neither dpkg nor rpm nor apk."""
    if is_debian(guest):
        return parse_dpkg_status(guest.read(dpkg.STATUS, _LARGEST_STATUS))
    if is_redhat(guest):
        return _rpm(guest)
    if is_alpine(guest):
        return parse_apk_installed(guest.read(APK_INSTALLED, _LARGEST_STATUS))
    return InstalledPackages({})


def missing(guest: Guest, wanted: Sequence[str], among: InstalledPackages) -> tuple[str, ...]:
    """Those of ``wanted`` that are neither in ``among``, the packages of the guest, nor provided by
    these."""
    left = among.missing(wanted)
    if is_debian(guest) or not is_redhat(guest):
        return left
    return tuple(name for name in left if not _rpm_knows(guest, name))


def parse_dpkg_status(text: str) -> InstalledPackages:
    """The installed packages of a dpkg status file."""
    found = list(dpkg.installed(text))
    return InstalledPackages(
        {one.name: one.version for one in found},
        frozenset(name for one in found for name in one.provides),
        frozenset(f"{one.name}:{one.architecture}" for one in found),
    )


def parse_apk_installed(text: str) -> InstalledPackages:
    """The packages in apk's database: paragraphs of lines with one letter, P name, V version, p
    provided names."""
    versions: dict[str, str] = {}
    provided: set[str] = set()
    for paragraph in text.split("\n\n"):
        fields = dict(line.split(":", 1) for line in paragraph.splitlines() if line[1:2] == ":")
        if "P" in fields:
            versions[fields["P"]] = fields.get("V", "")
            provided.update(one.split("=")[0] for one in fields.get("p", "").split())
    return InstalledPackages(versions, frozenset(provided))


def _rpm(guest: Guest) -> InstalledPackages:
    query = "%{NAME}\\t%{EVR}\\t%{ARCH}\\n"
    lines = guest.run(["rpm", "--query", "--all", "--queryformat", query]).splitlines()
    found = [fields for line in lines if len(fields := line.split("\t")) == 3 and fields[0] != "gpg-pubkey"]
    versions = {name: version for name, version, _ in found}
    return InstalledPackages(versions, qualified=frozenset(f"{name}.{arch}" for name, _, arch in found))


def _rpm_knows(guest: Guest, name: str) -> bool:
    """Whether rpm has a package that provides this, including a path, or whose name with its
    version is this."""
    for query in (["--whatprovides", name], [name]):
        try:
            guest.run(["rpm", "--query", *query])
        except GuestError:
            # rpm works, otherwise the guest's packages would not be known: this failure means no.
            continue
        return True
    return False
