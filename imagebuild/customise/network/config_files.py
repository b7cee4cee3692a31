"""The paths of the distributions' network configurations."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from imagebuild.customise.network import interfaces as ifupdown
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from imagebuild.customise.guest import Guest

NETPLAN = ("/lib/netplan/*.yaml", "/usr/lib/netplan/*.yaml", "/etc/netplan/*.yaml", "/run/netplan/*.yaml")
KEYFILES = tuple(
    f"{folder}/NetworkManager/system-connections/*" for folder in ("/etc", "/usr/lib", "/usr/local/lib", "/run")
)
IFCFG = (
    "/etc/sysconfig/network-scripts/ifcfg-*",
    "/etc/sysconfig/network/ifcfg-*",
    "/etc/sysconfig/networking/*/*/ifcfg-*",
)
SUSE_DHCP = ("/etc/sysconfig/network/dhcp",)
INTERFACES = ("/etc/network/interfaces", "/etc/network/interfaces.d/*")
NETWORKD = tuple(
    f"{folder}/systemd/{pattern}"
    for folder in ("/etc", "/usr/local/lib", "/run")
    for pattern in (
        "network/*.network",
        "network/*.netdev",
        "network/*.link",
        "network/*.d/*.conf",
        "networkd.conf",
        "networkd.conf.d/*.conf",
    )
)
MANAGER = (
    "/etc/NetworkManager/NetworkManager.conf",
    "/etc/NetworkManager/conf.d/*.conf",
    "/usr/lib/NetworkManager/conf.d/*.conf",
    "/var/lib/NetworkManager/NetworkManager-intern.conf",
)
DHCLIENT = (
    "/etc/dhcp/dhclient*.conf",
    "/etc/dhcp/dhclient.d/*.conf",
    "/etc/dhcp3/dhclient*.conf",
    "/etc/dhclient*.conf",
)
DHCPCD = ("/etc/dhcpcd.conf",)
CLOUD_INIT = ("/etc/cloud/cloud.cfg", "/etc/cloud/cloud.cfg.d/*.cfg", "/var/lib/cloud/seed/*/network-config")
"""Where cloud-init has network configurations in netplan's format or its predecessor."""
_MOST_INCLUDED = 1000
_NAMING = (
    *NETPLAN,
    *KEYFILES,
    *IFCFG,
    *INTERFACES,
    "/etc/systemd/network/*.network",
    "/etc/systemd/network/*.netdev",
    *DHCPCD,
)


def texts(guest: Guest, *patterns: str) -> dict[str, str]:
    """The files that match, by path; a file that cannot be read is reported."""
    found = {}
    for path in guest.real_files(*patterns):
        try:
            found[path] = guest.read(path)
        except GuestError as error:
            guest.not_done(path, f"could not be read: {error.message}")
    return found


def netplan(guest: Guest) -> dict[str, str]:
    """netplan's files in the order in which they are merged (netplan(5)): by name, in whatever
    folder they are."""
    found = texts(guest, *NETPLAN)
    return {path: found[path] for path in sorted(found, key=lambda path: (posixpath.basename(path), path))}


def interfaces(guest: Guest) -> dict[str, str]:
    """ifupdown's files, and those that they include (interfaces(5), ``source`` and
    ``source-directory``)."""
    found = texts(guest, *INTERFACES)
    waiting = list(found)
    while waiting and len(found) < _MOST_INCLUDED:
        for pattern in ifupdown.included(found[waiting.pop()]):
            added = texts(guest, posixpath.normpath(posixpath.join("/etc/network", pattern)))
            waiting += added.keys() - found.keys()
            found |= added
    return found


def names_in_use(guest: Guest) -> Callable[[str], bool]:
    """Whether the network configuration refers to an interface."""
    text = "\n".join(texts(guest, *_NAMING).values())
    words = set(re.split(r"[^\w.:-]+", text)) | set(re.split(r"[^\w-]+", text))
    return words.__contains__
