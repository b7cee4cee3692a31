"""The names of a guest, as far as they distinguish it from others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagebuild.customise.audit.text import text_of
from imagebuild.customise.facts import accounts

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

_FILES = ("/etc/hostname", "/etc/HOSTNAME", "/etc/mailname", "/etc/salt/minion_id")
_SETTINGS = {
    "/etc/sysconfig/network": r"HOSTNAME=[\"']?([\w.-]+)",
    "/etc/conf.d/hostname": r"hostname=[\"']?([\w.-]+)",
    "/etc/machine-info": r"PRETTY_HOSTNAME=[\"']?([\w.-]+)[\"']?$",
}
_OWN_ADDRESS = re.compile(r"^[ \t]*127\.0\.1\.1[ \t]+([^#\n]*)", re.MULTILINE)
_LEASE_NAME = re.compile(r"^[ \t]*(?:option host-name|HOSTNAME=)[ \t]*\"?([\w.-]+)", re.MULTILINE)
_LEASES = (
    "/var/lib/dhcp/*.leases",
    "/var/lib/dhclient/*.lease*",
    "/var/lib/NetworkManager/*.lease",
    "/var/lib/systemd/network/*.lease",
)
GENERIC = frozenset(
    [
        "localhost",
        "localdomain",
        "local",
        "debian",
        "ubuntu",
        "fedora",
        "rocky",
        "almalinux",
        "alma",
        "centos",
        "rhel",
        "redhat",
        "oracle",
        "opensuse",
        "suse",
        "sles",
        "alpine",
        "arch",
        "archlinux",
        "gentoo",
        "linux",
        "unix",
        "cloud",
        "cloudimg",
        "generic",
        "template",
        "base",
        "image",
        "golden",
        "host",
        "server",
        "client",
        "machine",
        "guest",
        "node",
        "vm",
        "kvm",
        "qemu",
        "vagrant",
        "packer",
        "builder",
        "build",
        "test",
        "default",
        "none",
        "unknown",
        "example",
        "install",
        "installer",
        "live",
        "rescue",
        "root",
        "admin",
        "user",
        "home",
        "raspberrypi",
        "amnesiac",
        "buildd",
    ]
)
"""Names that images and installers assign, and words that are found everywhere."""
_SHORTEST = 3


def gather(guest: Guest) -> list[str]:
    """The guest's names, the longest first: with the domain, and without it. Names that do not
    identify one machine are left out."""
    found = [text_of(guest, path) for path in _FILES]
    for path, setting in _SETTINGS.items():
        found += re.findall(rf"^[ \t]*{setting}", text_of(guest, path), re.MULTILINE)
    for names in _OWN_ADDRESS.findall(text_of(guest, "/etc/hosts")):
        found += names.split()
    for path in guest.real_files(*_LEASES):
        found += _LEASE_NAME.findall(text_of(guest, path))
    names = {name.strip().rstrip(".") for name in found}
    names |= {name.partition(".")[0] for name in names}
    words = GENERIC | {account.user for account in accounts(guest)} | _system_words(guest)
    return sorted((name for name in names if _identifies(name, words)), key=lambda name: (-len(name), name))


def _identifies(name: str, words: frozenset[str] | set[str]) -> bool:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", name) or len(name) < _SHORTEST:
        return False
    first = name.lower().partition(".")[0]
    domain = name.lower().partition(".")[2]
    if domain and domain not in ("localdomain", "local", "localdomain4", "localdomain6"):
        return first != "localhost"
    return first not in words and not name.isdigit()


def _system_words(guest: Guest) -> set[str]:
    """The names of the system itself: the words of its os-release."""
    texts = [text_of(guest, "/etc/os-release"), text_of(guest, "/usr/lib/os-release")]
    return {word.lower() for text in texts for word in re.findall(r"[A-Za-z]{3,}", text)}
