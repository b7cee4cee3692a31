"""What operations ask about a guest as a whole: its distribution, its users' home folders."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

Family = Literal["debian", "redhat", "suse", "alpine", "unknown"]
_FAMILIES: dict[str, Family] = {
    "debian": "debian",
    "ubuntu": "debian",
    "rhel": "redhat",
    "fedora": "redhat",
    "centos": "redhat",
    "rocky": "redhat",
    "almalinux": "redhat",
    "ol": "redhat",
    "suse": "suse",
    "opensuse": "suse",
    "sles": "suse",
    "alpine": "alpine",
}
_OLDER: tuple[tuple[str, str, Family], ...] = (
    ("/etc/redhat-release", "rhel", "redhat"),
    ("/etc/SuSE-release", "suse", "suse"),
    ("/etc/alpine-release", "alpine", "alpine"),
    ("/etc/debian_version", "debian", "debian"),
)


@dataclass(frozen=True)
class GuestOs:
    """A distribution: its id and version as in os-release(5), and the family whose tools and layout it has."""

    id: str
    version: str
    family: Family


@dataclass(frozen=True)
class Home:
    """An account with a home folder that exists; the folder without links in its last part."""

    user: str
    uid: int
    gid: int
    path: str


def identify(guest: Guest) -> GuestOs:
    """The guest's distribution, from /etc/os-release or, where that is older, from the release file."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        if guest.real_file(path):
            fields = _assignments(guest.read(path))
            name = fields.get("ID", "unknown").lower()
            likes = [name, name.split("-")[0], *fields.get("ID_LIKE", "").lower().split()]
            family: Family = next((_FAMILIES[like] for like in likes if like in _FAMILIES), "unknown")
            return GuestOs(name, fields.get("VERSION_ID", ""), family)
    for path, name, older in _OLDER:
        if guest.real_file(path):
            version = re.search(r"\d+(\.\d+)*", guest.read(path))
            return GuestOs(name, version[0] if version else "", older)
    return GuestOs("unknown", "", "unknown")


def _assignments(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            try:
                found[name] = "".join(shlex.split(value))
            except ValueError:
                found[name] = value
    return found


def homes(guest: Guest) -> list[Home]:
    """Root's home folder and those of all accounts, as far as they exist; each folder once, system folders left out."""
    found = {"/root": Home("root", 0, 0, "/root")} if guest.is_dir("/root") else {}
    lines = guest.read("/etc/passwd").splitlines() if guest.real_file("/etc/passwd") else []
    for line in lines:
        fields = line.split(":")
        if len(fields) < 7 or not (fields[2].isdigit() and fields[3].isdigit()):
            continue
        path = fields[5].rstrip("/")
        if path.startswith(("/home/", "/root", "/var/", "/srv/", "/opt/")) and guest.is_dir(path):
            found.setdefault(path, Home(fields[0], int(fields[2]), int(fields[3]), path))
    for entry in guest.listdir("/home"):
        if entry.kind == "dir":
            found.setdefault(f"/home/{entry.name}", Home(entry.name, entry.uid, entry.gid, f"/home/{entry.name}"))
    return list(found.values())
