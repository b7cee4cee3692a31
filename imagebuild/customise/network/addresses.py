"""Hardware addresses in all the spellings of configuration files, and the interface names that are
derived from them."""

from __future__ import annotations

import re

_PAIR = r"[0-9A-Fa-f]{1,2}"
_FULL_PAIR = r"[0-9A-Fa-f]{2}"
# Six bytes for Ethernet; InfiniBand has twenty, of which eight are permanent.
_SIX = rf"{_PAIR}(?::{_PAIR}){{5}}|{_PAIR}(?:-{_PAIR}){{5}}"
_TWENTY = rf"{_FULL_PAIR}(?::{_FULL_PAIR}){{19}}"
_CISCO = r"[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}"
_BYTES = r"(?:\d{1,3};){5}\d{1,3};?|(?:\d{1,3};){19}\d{1,3};?"
_ADDRESS = re.compile(rf"(?:{_SIX}|{_TWENTY}|{_CISCO}|{_BYTES})")
_IN_TEXT = re.compile(
    rf"(?<![0-9A-Fa-f:.-])(?:{_FULL_PAIR}(?::{_FULL_PAIR}){{5}}|{_FULL_PAIR}(?:-{_FULL_PAIR}){{5}}|"
    rf"{_TWENTY})(?![0-9A-Fa-f:-])"
)
_CONTAINED = re.compile(rf"{_FULL_PAIR}(?::{_FULL_PAIR}){{5}}|{_FULL_PAIR}(?:-{_FULL_PAIR}){{5}}")
_NAMED_AFTER = re.compile(r"(en|wl|ww|ib|sl)x[0-9A-Fa-f]{12}")
_NOT_OF_ONE_CARD = {"000000000000", "ffffffffffff"}

# Names that the kernel, udev (systemd.net-naming-scheme(7)) and biosdevname assign by default.
_KERNEL = re.compile(r"(eth|wlan|wwan|ib)\d+")
_PREDICTABLE = re.compile(r"(en|ib|sl|wl|ww)((P\d+)?[oscdvabi]\d\w*|(P\d+)?p\d+s\d\w*)|em\d+|p\d+p\d+(_\d+)?")
_UUID = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")


def is_address(value: str) -> bool:
    """True only for the hardware address of one card: ``52:54:00:aa:bb:01``, ``5254.00aa.bb01``,
    ``82;84;0;170;187;1;``."""
    value = value.strip()
    if not _ADDRESS.fullmatch(value):
        return False
    return re.sub(r"[^0-9A-Fa-f]", "", value).lower() not in _NOT_OF_ONE_CARD


def names_address(text: str) -> bool:
    """Whether a text contains a hardware address, or an interface name that is derived from one."""
    return _NAMED_AFTER.search(text) is not None or any(is_address(found[0]) for found in _IN_TEXT.finditer(text))


def contains_address(value: str) -> bool:
    """Whether a value contains a hardware address, like the DHCP client identifier
    ``01:52:54:00:aa:bb:01``."""
    return _CONTAINED.search(value) is not None or names_address(value)


def is_named_after_address(name: str) -> bool:
    """True for ``enx525400aabb01`` and the like: no other card ever has this name."""
    return _NAMED_AFTER.fullmatch(name.strip()) is not None


def is_uuid(value: str) -> bool:
    """True only for a UUID."""
    return _UUID.fullmatch(value.strip()) is not None


def is_cards_name(name: str, *, kernel_names: bool = True) -> bool:
    """Whether a card can have this name without a configuration that assigns it: ``ens3``, and
    ``eth0`` if the kernel's names are kept."""
    if _KERNEL.fullmatch(name):
        return kernel_names
    return _PREDICTABLE.fullmatch(name) is not None
