"""udev rules (udev(7)) that match one card by its hardware address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagebuild.customise.network import addresses

if TYPE_CHECKING:
    from collections.abc import Callable

_PART = re.compile(
    r'\s*(?P<key>[A-Z_]+(?:\{[^}"]*\})?)\s*(?P<operator>==|!=|\+=|-=|:=|=)\s*(?P<quote>[ei]?)"(?P<value>(?:'
    r'[^"\\]|\\.)*)"\s*(?:,|$|(?=\s))'
)
_OF_A_CARD = re.compile(r"(ATTRS?|SYSFS)\{(address|permaddr)\}")
_MADE_OF_IT = re.compile(r"ENV\{ID_NET_NAME_MAC\}")


@dataclass(frozen=True)
class _Rule:
    raw: str
    parts: tuple[tuple[str, str, str], ...]
    """Key, operator and value of each part."""

    @property
    def is_for_one_card(self) -> bool:
        return any(
            operator == "==" and (_OF_A_CARD.fullmatch(key) or _MADE_OF_IT.fullmatch(key)) and _is_address(value)
            for key, operator, value in self.parts
        )

    @property
    def name(self) -> str:
        """The name that it assigns to an interface."""
        return next((value for key, operator, value in self.parts if key == "NAME" and operator in ("=", ":=")), "")


def without_addresses(text: str, is_used: Callable[[str], bool]) -> str:
    """A file of rules without those for one card.

    A rule that assigns a name which the network configuration uses (``is_used``), and which no card
    gets by default, assigns it to any Ethernet card afterwards: without it the configuration would
    match no card.
    """
    return "".join(_edited(rule, is_used) for rule in _rules(text))


def _edited(rule: _Rule, is_used: Callable[[str], bool]) -> str:
    if not rule.is_for_one_card:
        return "" if rule.raw.lstrip().startswith("#") and addresses.names_address(rule.raw) else rule.raw
    if not rule.name or addresses.is_cards_name(rule.name) or not is_used(rule.name):
        return ""
    kept = [
        f'{key}{operator}"{value}"'
        for key, operator, value in rule.parts
        if not (_OF_A_CARD.fullmatch(key) or _MADE_OF_IT.fullmatch(key) or key == "KERNEL")
    ]
    at = next(place for place, part in enumerate(kept) if part.startswith("NAME"))
    return ", ".join([*kept[:at], 'KERNEL=="e*"', *kept[at:]]) + "\n"


def _rules(text: str) -> list[_Rule]:
    """Rules and all other lines; a backslash at the end continues a line."""
    found = []
    for match in re.finditer(r"(?:[^\n]*\\\r?\n)*[^\n]*(?:\n|\Z)", text):
        if match[0]:
            joined = re.sub(r"\\\r?\n", " ", match[0]).strip()
            comment = joined.startswith("#")
            parts = (
                () if comment else tuple((one["key"], one["operator"], one["value"]) for one in _PART.finditer(joined))
            )
            found.append(_Rule(match[0], parts))
    return found


def _is_address(value: str) -> bool:
    """Also true if it is one of several, or begins with a pattern: InfiniBand rules match the end
    of the address."""
    return any(addresses.contains_address(part) or addresses.is_named_after_address(part) for part in value.split("|"))
