"""ifupdown's interfaces(5) without hardware addresses and DHCP client identifiers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagebuild.customise.network import Edited, addresses

if TYPE_CHECKING:
    from collections.abc import Mapping

_ADDRESSES = {"hwaddress", "hw-mac-address", "bridge_hw", "bridge-hw", "wpa-bssid", "wireless-ap"}
_IDENTIFIERS = {"client", "client-id", "clientid"}
_HOSTNAMES = {"hostname"}
_COMMANDS = {"pre-up", "up", "post-up", "down", "pre-down", "post-down"}
_SETS_ADDRESS = re.compile(r"\b(ip|ifconfig|macchanger)\b.*\b(address|ether|-m|--mac)\b")
_PATTERN = re.compile(r"mac/(?P<address>[^/=]+)(?P<number>/[^=]*)?(?P<logical>=.*)?", re.IGNORECASE)


@dataclass(frozen=True)
class InterfacesLine:
    """A logical line: its text including continuation lines, and its words."""

    raw: str
    words: tuple[str, ...]


def parse(text: str) -> list[InterfacesLine]:
    """Lines; a backslash at the end continues a line, also in a comment."""
    found = []
    for match in re.finditer(r"(?:[^\n]*\\\n)*[^\n]*(?:\n|\Z)", text):
        if match[0]:
            joined = match[0].replace("\\\n", " ").strip()
            found.append(InterfacesLine(match[0], () if joined.startswith("#") else tuple(joined.split())))
    return found


def without_identity(files: Mapping[str, str]) -> Edited:
    """All files by path. A card that a pattern matched by its address becomes the first, second …
    Ethernet card."""
    numbers: dict[str, int] = {}
    texts, problems = {}, []
    for path, text in files.items():
        kept = [_edited(line, numbers) for line in parse(text)]
        texts[path] = "".join(kept)
        left = [line for line in kept if addresses.names_address(line)]
        if left:
            problems.append((path, f"contains hardware addresses: {left[0].strip()}"))
    return Edited(texts, tuple(problems))


def without_hostnames(text: str) -> str:
    """The text of one file without the names that are sent to DHCP servers."""
    return "".join(line.raw for line in parse(text) if not line.words or line.words[0] not in _HOSTNAMES)


def included(text: str) -> list[str]:
    """The patterns of the files that a file includes."""
    found: list[str] = []
    for line in parse(text):
        if line.words[:1] == ("source",):
            found += line.words[1:]
        elif line.words[:1] == ("source-directory",):
            found += [f"{folder}/*" for folder in line.words[1:]]
    return found


def _edited(line: InterfacesLine, numbers: dict[str, int]) -> str:
    """The new line; empty if it is removed. ``numbers`` are those of the cards that patterns
    matched by their addresses."""
    if not line.words:
        return "" if addresses.names_address(line.raw) else line.raw
    first, rest = line.words[0].lower(), line.words[1:]
    if first in _ADDRESSES:
        return "" if any(addresses.is_address(word) for word in rest) else line.raw
    if first in _IDENTIFIERS:
        return line.raw if rest == ("no",) else ""
    if first in ("rename", "auto") or first.startswith("allow-"):
        words = [_without_address(word, numbers) for word in rest]
        if words != list(rest):
            return f"{line.words[0]} {' '.join(words)}\n"
    if first in _COMMANDS and addresses.contains_address(line.raw) and _SETS_ADDRESS.search(line.raw):
        return ""
    return line.raw


def _without_address(word: str, numbers: dict[str, int]) -> str:
    """A pattern as in interfaces(5) (``mac/52:54:…=lan``), changed so that it does not match by the
    address."""
    found = _PATTERN.fullmatch(word.strip('"'))
    if found is None:
        return word
    number = numbers.setdefault(found["address"].lower(), len(numbers) + 1)
    return f"/e*/{number}{found['logical'] or ''}"
