"""systemd-networkd's and udev's files (systemd.network(5), systemd.netdev(5), systemd.link(5),
networkd.conf(5)) without identity."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from imagebuild.customise.network import Edited, addresses, ini

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imagebuild.customise.network.ini import IniLine

_MATCH_ADDRESS = {"MACAddress", "PermanentMACAddress"}
_DHCP = {"DUIDRawData", "IAID"}
_PEERS = {"BSSID"}
_ANY_CARD = (("Type", "ether"), ("Kind", "!*"))
"""The match of systemd's own 89-ethernet.network.example: Ethernet, and nothing virtual. Kind= is
ignored before version 251."""
_FOREIGN = {
    "BridgeFDB",
    "Neighbor",
    "DHCPServerStaticLease",
    "IPVLAN",
    "MACsecReceiveChannel",
    "MACsecReceiveAssociation",
    "WireGuardPeer",
}
"""Sections whose addresses belong to other machines."""


def without_identity(
    files: Mapping[str, str], *, kernel_names: bool = True, is_used: Callable[[str], bool] = lambda _: False
) -> Edited:
    """All files by path, with their drop-ins (``10-lan.network.d/x.conf``); a file with an empty
    text is to be removed.

    ``is_used`` says whether files other than these use the name that a link assigns to a card.
    """
    parsed = {path: ini.parse(text, systemd=True) for path, text in files.items()}
    units: dict[str, list[str]] = {}
    for path in sorted(files):
        units.setdefault(_unit(path), []).append(path)
    own = [line for path, lines in parsed.items() if not _unit(path).endswith(".link") for line in lines]
    used = {word for line in own for word in re.split(r"[\s,]+", line.value)}
    kinds: dict[str, list[str]] = {}
    for name, paths in units.items():
        any_card = _is_by_address_only(parsed, paths)
        if any_card and name.endswith(".link"):
            lines = [line for path in paths for line in parsed[path]]
            names = ini.values(lines, "Link", "Name")
            wanted = any(
                (one in used or is_used(one)) and not addresses.is_cards_name(one, kernel_names=kernel_names)
                for one in names
            )
            if not wanted and _only_names(lines):
                parsed.update((path, []) for path in paths)
                continue
        if any_card:
            kinds.setdefault(name.rsplit(".", 1)[-1], []).append(paths[0])
        for path in paths:
            here = any_card and path == _place_of_match(parsed, paths)
            parsed[path] = _edited(parsed[path], name, any_card=here)
    problems = [
        (path, "this card was identified only by its hardware address, which was removed")
        for paths in kinds.values()
        for path in (paths if len(paths) > 1 else ())
    ]
    texts = {path: ini.render(lines) for path, lines in parsed.items()}
    return Edited(texts, tuple(problems))


def _unit(path: str) -> str:
    """The name of the unit that a file or drop-in belongs to: drop-ins with the same name belong
    together, in whatever folder they are."""
    folder = posixpath.basename(posixpath.dirname(path))
    return folder.removesuffix(".d") if folder.endswith(".d") else posixpath.basename(path)


def _is_match_of_address(line: IniLine) -> bool:
    """Whether a line matches a card by its address, or by a name derived from it."""
    if line.section != "Match":
        return False
    words = line.value.split()
    return line.key in _MATCH_ADDRESS or (
        line.key in ("Name", "OriginalName") and bool(words) and all(map(addresses.is_named_after_address, words))
    )


def _only_names(lines: Sequence[IniLine]) -> bool:
    return {line.key for line in lines if line.section == "Link" and line.key} <= {"Name", "NamePolicy", "Description"}


def _is_by_address_only(parsed: Mapping[str, list[IniLine]], paths: Sequence[str]) -> bool:
    keys = [line for path in paths for line in parsed[path] if line.section == "Match" and line.key]
    return any(map(_is_match_of_address, keys)) and all(map(_is_match_of_address, keys))


def _place_of_match(parsed: Mapping[str, list[IniLine]], paths: Sequence[str]) -> str:
    return next(path for path in paths if any(_is_match_of_address(line) for line in parsed[path]))


def _edited(lines: list[IniLine], unit: str, *, any_card: bool) -> list[IniLine]:
    match = (("OriginalName", "e*"),) if unit.endswith(".link") else _ANY_CARD
    kept: list[IniLine] = []
    for line in lines:
        if _is_match_of_address(line):
            if any_card:
                kept += [ini.setting(line, key, value) for key, value in match]
                any_card = False
        elif line.section == "Match" and line.key in ("Name", "OriginalName") and addresses.names_address(line.value):
            words = [word for word in line.value.split() if not addresses.is_named_after_address(word)]
            kept.append(ini.setting(line, line.key, " ".join(words)))
        elif not _is_identity(line):
            kept.append(line)
    return kept


def _is_identity(line: IniLine) -> bool:
    if line.is_comment:
        return addresses.names_address(line.raw)
    if line.section in _FOREIGN:
        return False
    if line.key in _DHCP or line.key in _PEERS:
        return True
    # `MACAddressPolicy=` and words such as `random` and `none` are not addresses.
    return "MACAddress" in line.key and any(map(addresses.is_address, re.split(r"\s+", line.value)))
