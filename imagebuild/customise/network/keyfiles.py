"""NetworkManager's connections (nm-settings-keyfile(5)) and its own configuration
(NetworkManager.conf(5)) without identity.

A connection without a UUID gets one that NetworkManager derives from the path of the file. Other
connections refer to it by its UUID or by its interface. If there is an interface, they refer to
that afterwards; otherwise both keep the UUID.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagebuild.customise.network import Edited, addresses, ini

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from imagebuild.customise.network.ini import IniLine

_MAC_KEYS = {
    "mac-address", "cloned-mac-address", "assigned-mac-address", "mac-address-blacklist", "mac-address-denylist",
    "bssid", "seen-bssids", "bridge-mac-address", "dhcp-anycast-address", "dhcp-anycast-addr",
}  # fmt: skip
_WORDS = {"preserve", "permanent", "random", "stable", "stable-ssid", ""}
_DHCP_WORDS = {
    "dhcp-client-id": {"mac", "perm-mac", "duid", "ipv6-duid", "stable", "none"},
    "dhcp-iaid": {"mac", "perm-mac", "ifname", "stable"},
    "dhcp-duid": {"lease", "llt", "ll", "stable-llt", "stable-ll", "stable-uuid"},
}
"""Words that stand for an identifier of the running machine (nm-settings-nmcli(5)), and are not
identifiers themselves."""
_REFERENCES = {"controller", "master", "parent"}
_LISTS_OF_UUIDS = {"secondaries"}
_SETTING_OF_CARDS = {"ethernet", "802-3-ethernet", "wifi", "802-11-wireless", "infiniband"}
_MATCH_KEYS = {"match-device", "no-auto-default", "unmanaged-devices", "ignore-carrier", "assume-ipv6ll-only"}


def without_identity(files: Mapping[str, str], interfaces: Mapping[str, str], kept: Set[str] = frozenset()) -> Edited:
    """All connections by path, without UUIDs and hardware addresses.

    ``interfaces`` are those of the connections with these UUIDs, in keyfiles and elsewhere;
    ``kept`` are UUIDs that stay.
    """
    texts = {path: ini.render(_connection(ini.parse(text), interfaces, kept)) for path, text in files.items()}
    problems = [
        (path, "contains hardware addresses in an unknown place")
        for path, text in texts.items()
        if addresses.names_address(text)
    ]
    return Edited(texts, tuple(problems))


def interfaces_by_uuid(files: Mapping[str, str]) -> dict[str, str]:
    """The interfaces of the connections with these UUIDs."""
    found = {}
    for text in files.values():
        lines = ini.parse(text)
        uuids, names = ini.values(lines, "connection", "uuid"), ini.values(lines, "connection", "interface-name")
        if uuids and names and not addresses.is_named_after_address(names[-1]):
            found[uuids[-1].lower()] = names[-1]
    return found


def uuids_that_stay(files: Mapping[str, str], interfaces: Mapping[str, str]) -> set[str]:
    """UUIDs that connections refer to and that cannot be replaced by an interface."""
    return {
        word.lower()
        for text in files.values()
        for line in ini.parse(text)
        if line.key in _REFERENCES | _LISTS_OF_UUIDS
        for word in re.split(r"[;,\s]+", line.value)
        if addresses.is_uuid(word) and (line.key in _LISTS_OF_UUIDS or word.lower() not in interfaces)
    }


def _connection(lines: list[IniLine], interfaces: Mapping[str, str], named: Set[str]) -> list[IniLine]:
    kept = []
    for line in lines:
        if line.key in _REFERENCES and line.value.lower() in interfaces:
            kept.append(ini.setting(line, line.key, interfaces[line.value.lower()]))
        elif not _is_identity(line, named):
            kept.append(line)
    return kept


def _is_identity(line: IniLine, named: Set[str]) -> bool:
    if line.is_comment:
        return addresses.names_address(line.raw)
    if line.section == "connection":
        if line.key == "uuid":
            return line.value.lower() not in named
        if line.key == "interface-name":
            return addresses.is_named_after_address(line.value)
        if line.key in ("timestamp", "seen-bssids"):
            return True
    if line.key in _DHCP_WORDS:
        return line.value not in _DHCP_WORDS[line.key]
    if line.key in _MAC_KEYS:
        return line.value not in _WORDS
    if line.key == "stable-id":
        return addresses.contains_address(line.value) or addresses.is_uuid(line.value)
    return line.section in _SETTING_OF_CARDS and addresses.is_address(line.value)


def is_identity(section: str, key: str, value: str) -> bool:
    """Whether a setting of a connection belongs to one machine."""
    return _is_identity(ini.IniLine("", section, key, value), frozenset())


def configuration_without_addresses(text: str) -> str:
    """NetworkManager.conf and similar files: defaults for connections are treated like connections,
    and devices that are listed by address are removed."""
    kept = []
    for line in ini.parse(text):
        key = line.key.rstrip("+-").strip()
        last = key.rsplit(".", 1)[-1]
        if key in _MATCH_KEYS:
            kept += _without_devices(line, key)
        elif not is_identity("", last, line.value):
            kept.append(line)
    return ini.render(_without_empty_matches(kept))


def _without_devices(line: IniLine, key: str) -> list[IniLine]:
    """A list of devices (NetworkManager.conf(5), device list format) without those that are listed
    by their address."""
    parts = [part for part in re.split(r"[,;]", line.value) if part.strip()]
    left = [part for part in parts if not _is_by_address(part)]
    if len(left) == len(parts):
        return [line]
    if not left and key != "match-device":
        return []
    return [ini.setting(line, line.key, ";".join(left) if ";" in line.value else ",".join(left))]


def _is_by_address(part: str) -> bool:
    spec = part.strip().removeprefix("except:")
    return addresses.is_address(spec.removeprefix("mac:")) or addresses.is_named_after_address(
        spec.removeprefix("interface-name:").removeprefix("=")
    )


def _without_empty_matches(lines: list[IniLine]) -> list[IniLine]:
    """A section for devices that are no longer listed matches none: it is removed."""
    empty = {at for at, line in enumerate(lines) if line.key.rstrip("+-").strip() == "match-device" and not line.value}
    kept: list[IniLine] = []
    for at, line in enumerate(lines):
        head = max((place for place in range(at + 1) if lines[place].is_head), default=-1)
        following = next((place for place in range(at + 1, len(lines)) if lines[place].is_head), len(lines))
        if not any(head <= place < following for place in empty):
            kept.append(line)
    return kept
