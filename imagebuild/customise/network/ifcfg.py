"""ifcfg files without identity; they are read by a shell, NetworkManager (nm-settings-ifcfg-rh(5)),
and wicked or ifup of SUSE (ifcfg(5)).

A port that refers to its bond, bridge or team by the UUID of a connection refers to its interface
afterwards: NetworkManager prefers ``MASTER_UUID`` to ``MASTER``, so a UUID that no longer exists
would leave the port without its master.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from imagebuild.customise.network import Edited, addresses, shell_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

_BY_UUID = {
    "MASTER_UUID": "MASTER",
    "BRIDGE_UUID": "BRIDGE",
    "TEAM_MASTER_UUID": "TEAM_MASTER",
    "OVS_PORT_UUID": "OVS_PORT",
    "VRF_UUID": "VRF",
    "PHYSDEV": "PHYSDEV",
}
"""References to connections, and the variables that refer to the interface instead."""
_IDENTITY = {
    "HWADDR", "HWADDR_BLACKLIST", "BSSID", "UNIQUE", "DHCP_CLIENT_ID", "DHCPV6_CLIENT_ID", "DHCP_IAID", "DHCPV4_IAID",
    "DHCPV6_IAID", "DHCP_DUID", "DHCPV6_DUID", "DHCLIENT_CLIENT_ID", "DHCLIENT6_CLIENT_ID",
}  # fmt: skip
_DHCP_WORDS = {
    "",
    "mac",
    "perm-mac",
    "duid",
    "ipv6-duid",
    "stable",
    "none",
    "ifname",
    "lease",
    "llt",
    "ll",
    "stable-llt",
}
_DHCP_WORDS |= {"stable-ll", "stable-uuid"}
_ADDRESSES = {"MACADDR", "LLADDR"}
_VIRTUAL = {
    "bond",
    "bridge",
    "team",
    "vlan",
    "ovsbridge",
    "ovsbond",
    "ovsintport",
    "tunnel",
    "ipip",
    "gre",
    "wireguard",
    "dummy",
}


def without_identity(
    files: Mapping[str, str],
    interfaces: Mapping[str, str],
    kept: Set[str] = frozenset(),
    *,
    kernel_names: bool = True,
    any_card: bool = False,
) -> Edited:
    """All files by path. ``interfaces`` are those of the connections with these UUIDs; ``kept`` are
    UUIDs that stay.

    ``any_card`` says that a file without an interface applies to any card, as in NetworkManager;
    the older scripts need one.
    """
    texts: dict[str, str] = {}
    problems = []
    for path, text in files.items():
        name, lost = _device(text, kernel_names=kernel_names)
        if lost and not any_card:
            problems.append(
                (path, f"the card of {name} was identified only by its hardware address, which was removed")
            )
        texts[path] = _edited(path, text, interfaces, kept, lost=lost and any_card)
        if addresses.names_address(texts[path]):
            problems.append((path, "contains hardware addresses in an unknown place"))
    return Edited(texts, tuple(problems))


def settings_without_identity(text: str) -> str:
    """SUSE's /etc/sysconfig/network/dhcp, whose variables are emptied rather than removed."""
    return shell_words.edit(text, lambda name, value: (name, "" if name in _IDENTITY and value else value))


def netifrc_without_addresses(text: str) -> str:
    """Gentoo's and Alpine's /etc/conf.d/net, where ``mac_eth0`` assigns an address to a card."""

    def change(name: str, value: str) -> tuple[str, str] | None:
        return None if name.startswith("mac_") and addresses.is_address(value) else (name, value)

    return shell_words.edit(text, change)


def interfaces_by_uuid(files: Mapping[str, str]) -> dict[str, str]:
    """The interfaces of the connections with these UUIDs."""
    found = {}
    for text in files.values():
        values = _values(text)
        if "UUID" in values and values.get("DEVICE"):
            found[values["UUID"].lower()] = values["DEVICE"]
    return found


def _values(text: str) -> dict[str, str]:
    return {one.name: one.value for one in shell_words.assignments(text)}


def uuids_that_stay(files: Mapping[str, str], interfaces: Mapping[str, str]) -> set[str]:
    """UUIDs that others refer to and that cannot be replaced by an interface."""
    found: set[str] = set()
    for text in files.values():
        values = _values(text)
        for key, name in _BY_UUID.items():
            uuid = values.get(key, "").lower()
            if addresses.is_uuid(uuid) and uuid not in interfaces and (name == key or not values.get(name)):
                found.add(uuid)
        found |= {word.lower() for word in re.split(r"[\s,]+", values.get("SECONDARY_UUIDS", "")) if word}
    return found


def _device(text: str, *, kernel_names: bool) -> tuple[str, bool]:
    """The interface of a file, and whether no card has its name without the address in the file."""
    values = _values(text)
    name = values.get("DEVICE", "")
    if not name or addresses.is_named_after_address(name):
        return name, addresses.is_named_after_address(name)
    if "HWADDR" not in values or values.get("TYPE", "").lower() in _VIRTUAL or re.search(r"[.:@]", name):
        return name, False
    if any(key.startswith(("BONDING_", "TEAM_CONFIG", "VLAN")) for key in values):
        return name, False
    return name, not addresses.is_cards_name(name, kernel_names=kernel_names)


def _edited(path: str, text: str, interfaces: Mapping[str, str], kept: Set[str], *, lost: bool) -> str:
    values = _values(text)
    suffix = posixpath.basename(path).removeprefix("ifcfg-")
    needs_device = "HWADDR" in values and not values.get("DEVICE") and addresses.is_cards_name(suffix)

    def change(name: str, value: str) -> tuple[str, str] | None:
        upper = name.upper()
        same = (name, value)
        if name == "HWADDR" and needs_device:
            return ("DEVICE", suffix)
        if name in _BY_UUID and addresses.is_uuid(value):
            return _by_name(name, value, values, interfaces)
        if name == "DEVICE":
            return None if lost else same
        if upper == "UUID":
            return same if value.lower() in kept else None
        if upper in _ADDRESSES:
            return None if addresses.is_address(value) or not value else same
        if upper in _IDENTITY:
            return same if value in _DHCP_WORDS and upper != "HWADDR" else None
        return same

    return shell_words.edit(text, change, addresses.names_address)


def _by_name(name: str, uuid: str, values: Mapping[str, str], interfaces: Mapping[str, str]) -> tuple[str, str] | None:
    """A reference to a connection, changed to its interface; unchanged if that is not known."""
    by_name, interface = _BY_UUID[name], interfaces.get(uuid.lower(), "")
    if by_name != name and values.get(by_name):
        return None
    return (by_name, interface) if interface else (name, uuid)
