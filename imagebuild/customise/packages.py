"""What is installed in a guest, read from its package database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

DPKG_STATUS = "/var/lib/dpkg/status"
APK_INSTALLED = "/lib/apk/db/installed"
_LARGEST_STATUS = 64 << 20
"""Bytes; a desktop with 3000 packages has 4 MiB."""


@dataclass(frozen=True)
class Installed:
    """The packages of a guest: name to version, and the names that some of them provide."""

    versions: dict[str, str]
    provided: frozenset[str]

    def missing(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """Those of ``wanted`` that are neither installed nor provided by a package that is."""
        return tuple(name for name in wanted if name not in self.versions and name not in self.provided)


def is_debian(guest: Guest) -> bool:
    """Whether dpkg keeps the guest's packages."""
    return guest.is_file(DPKG_STATUS)


def is_redhat(guest: Guest) -> bool:
    """Whether rpm keeps the guest's packages."""
    return any(guest.is_file(f"/{folder}/rpm") for folder in ("usr/bin", "bin"))


def is_alpine(guest: Guest) -> bool:
    """Whether apk keeps the guest's packages."""
    return guest.is_file(APK_INSTALLED)


def installed(guest: Guest) -> Installed:
    """All packages of the guest; empty if it has neither dpkg nor rpm nor apk."""
    if is_debian(guest):
        return parse_dpkg_status(guest.read(DPKG_STATUS, _LARGEST_STATUS))
    if is_redhat(guest):
        return _rpm(guest)
    if is_alpine(guest):
        return parse_apk_installed(guest.read(APK_INSTALLED, _LARGEST_STATUS))
    return Installed({}, frozenset())


def parse_dpkg_status(text: str) -> Installed:
    """The installed packages of a dpkg status file (deb822 paragraphs; see dpkg-query(1) for the states)."""
    versions: dict[str, str] = {}
    provided: set[str] = set()
    for paragraph in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and not line.startswith(" ")
        )
        if "Package" in fields and fields.get("Status", "").split()[-1:] == ["installed"]:
            versions[fields["Package"]] = fields.get("Version", "")
            provided.update(one.split()[0] for one in fields.get("Provides", "").split(",") if one.strip())
    return Installed(versions, frozenset(provided))


def parse_apk_installed(text: str) -> Installed:
    """The packages of apk's database: paragraphs of lines with one letter, P name, V version, p what it provides."""
    versions: dict[str, str] = {}
    provided: set[str] = set()
    for paragraph in text.split("\n\n"):
        fields = dict(line.split(":", 1) for line in paragraph.splitlines() if line[1:2] == ":")
        if "P" in fields:
            versions[fields["P"]] = fields.get("V", "")
            provided.update(one.split("=")[0] for one in fields.get("p", "").split())
    return Installed(versions, frozenset(provided))


def _rpm(guest: Guest) -> Installed:
    query = "%{NAME}\\t%{EVR}\\n"
    lines = guest.run(["rpm", "--query", "--all", "--queryformat", query]).splitlines()
    versions = dict(line.split("\t", 1) for line in lines if "\t" in line)
    versions.pop("gpg-pubkey", None)
    return Installed(versions, frozenset())
