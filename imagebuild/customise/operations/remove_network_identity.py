"""Remove UUIDs and hardware addresses from the network configuration.

So that a clone does not look for the network card of the machine the image was made on, nor tell
a DHCP server that it is that machine:

- ``UUID``, ``HWADDR``, ``MACADDR`` and SUSE's ``LLADDR`` in ``ifcfg-*`` files;
- ``uuid``, ``mac-address`` and ``cloned-mac-address`` in NetworkManager's keyfiles. A UUID that another
  keyfile refers to stays, and so do words like ``random`` and ``stable`` in place of an address.
  NetworkManager derives a missing UUID from the file's name;
- ``hwaddress`` in ``/etc/network/interfaces`` and ``interfaces.d``;
- ``macaddress`` in netplan's files, whose interfaces are then matched by name;
- ``MACAddress`` in systemd-networkd's files: a network that was matched by it alone applies to every Ethernet card, and
  a ``.link`` file that only names one card goes;
- addresses that NetworkManager is told to take for cards (``*.cloned-mac-address`` in its configuration);
- leases and identifiers that DHCP clients, NetworkManager, systemd-networkd and wicked keep.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from imagebuild.customise import netplan
from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "identity"
REPLACES = ("dhcp-client-state", "net-hwaddr", "net-nmconn")
Params = NoParams

_IFCFG = ("/etc/sysconfig/network-scripts/ifcfg-*", "/etc/sysconfig/network/ifcfg-*")
_KEYFILES = "/etc/NetworkManager/system-connections/*"
_NETPLAN = ("/etc/netplan/*.yaml",)
_NETWORKD = ("/etc/systemd/network/*.network", "/etc/systemd/network/*.netdev")
_LINKS = ("/etc/systemd/network/*.link",)
_MANAGER = ("/etc/NetworkManager/NetworkManager.conf", "/etc/NetworkManager/conf.d/*.conf")
_INTERFACES = ("/etc/network/interfaces", "/etc/network/interfaces.d/*")
_STATE = (
    "/var/lib/dhcp/*.leases",
    "/var/lib/dhcp/*.leases~",
    "/var/lib/dhclient/*.lease*",
    "/var/lib/dhcpcd/*.lease*",
    "/var/lib/dhcpcd/duid",
    "/var/lib/dhcpcd/secret",
    "/var/lib/NetworkManager/*.lease",
    "/var/lib/NetworkManager/secret_key",
    "/var/lib/NetworkManager/seen-bssids",
    "/var/lib/NetworkManager/timestamps",
    "/var/lib/dhcpcd5/*.lease*",
    "/var/db/dhcpcd/*.lease*",
    "/var/db/dhcpcd/duid",
    "/var/db/dhcpcd/secret",
    "/etc/dhcpcd.duid",
    "/etc/dhcpcd.secret",
    "/var/lib/wicked/*.xml",
    "/var/lib/systemd/network/*.lease",
    "/run/systemd/netif/leases/*",
)
_ADDRESS = r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5,}"
_IFCFG_LINE = re.compile(r"^[ \t]*(UUID|HWADDR|MACADDR|LLADDR)=.*\n?", re.MULTILINE)
_INTERFACES_LINE = re.compile(r"^[ \t]*hwaddress[ \t].*\n?", re.MULTILINE)
_KEYFILE_ADDRESS = re.compile(rf"^(cloned-)?mac-address=[ \t]*{_ADDRESS}[ \t]*\n?", re.MULTILINE)
_MANAGER_ADDRESS = re.compile(rf"^[ \t]*\w+\.cloned-mac-address[ \t]*=[ \t]*{_ADDRESS}[ \t]*\n?", re.MULTILINE)
_NETWORKD_ADDRESS = re.compile(r"^[ \t]*(Permanent)?MACAddress=.*\n?", re.MULTILINE)
_MATCH = re.compile(r"^[ \t]*\[Match\][ \t]*\n(?P<inner>(?:(?![ \t]*\[).*\n?)*)", re.MULTILINE)
_KEYFILE_UUID = re.compile(r"^uuid=[ \t]*(\S+)[ \t]*\n?", re.MULTILINE)


def apply(guest: Guest, params: NoParams) -> None:
    what = "removed UUID and hardware address"
    for path in guest.real_files(*_IFCFG):
        guest.edit(path, lambda text: _IFCFG_LINE.sub("", text), what)
    for path in guest.real_files(*_INTERFACES):
        guest.edit(path, lambda text: _INTERFACES_LINE.sub("", text), "removed hardware address")
    for path in guest.real_files(*_NETPLAN):
        guest.edit(path, netplan.without_addresses, "removed hardware address")
    for path in guest.real_files(*_NETWORKD):
        guest.edit(path, _for_any_card, "removed hardware address")
    guest.remove(
        [path for path in guest.real_files(*_LINKS) if _is_for_one_card(guest.read(path))], "removed a card's name"
    )
    for path in guest.real_files(*_MANAGER):
        guest.edit(path, lambda text: _MANAGER_ADDRESS.sub("", text), "removed hardware address")
    keyfiles = {path: guest.read(path) for path in guest.real_files(_KEYFILES)}
    for path in keyfiles:
        others = "\n".join(text for other, text in keyfiles.items() if other != path)
        guest.edit(path, partial(_without_identity, others=others), what)
    guest.remove(guest.sweep(*_STATE))


def _for_any_card(text: str) -> str:
    """A file of networkd's without hardware addresses; a section that matched by nothing else matches Ethernet."""

    def matching(found: re.Match[str]) -> str:
        inner = _NETWORKD_ADDRESS.sub("", found["inner"])
        return f"[Match]\n{inner if _has_settings(inner) else 'Type=ether' + chr(10) + inner}"

    text = _MATCH.sub(lambda found: matching(found) if _NETWORKD_ADDRESS.search(found["inner"]) else found[0], text)
    return _NETWORKD_ADDRESS.sub("", text)


def _is_for_one_card(text: str) -> bool:
    """Whether a .link file applies to one card only, by its hardware address."""
    found = _MATCH.search(text)
    return found is not None and _NETWORKD_ADDRESS.search(found["inner"]) is not None


def _has_settings(section: str) -> bool:
    return any("=" in line and not line.lstrip().startswith(("#", ";")) for line in section.splitlines())


def _without_identity(keyfile: str, others: str) -> str:
    uuid = _KEYFILE_UUID.search(keyfile)
    if uuid and not re.search(rf"=.*{re.escape(uuid[1])}", others):
        keyfile = _KEYFILE_UUID.sub("", keyfile)
    return _KEYFILE_ADDRESS.sub("", keyfile)
