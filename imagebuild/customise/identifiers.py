"""The identifiers of a guest's disks in whatever refers to them: every spelling is replaced, byte
by byte. Pure functions."""

from __future__ import annotations

import re
import string
import uuid
from collections.abc import Iterable, Iterator, Mapping
from secrets import choice, token_hex

from imagebuild.guest.block import Identifier

_IN_LVM = string.ascii_letters + string.digits


def fresh(old: Identifier) -> str:
    """A new random identifier of the same kind and length."""
    if re.fullmatch(r"[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}", old.value):
        new = token_hex(4).upper()
        return f"{new[:4]}-{new[4:]}"
    if re.fullmatch(r"[0-9A-Fa-f]{8}", old.value):
        return token_hex(4)
    if old.type in ("pv", "vg", "lv"):
        return "-".join("".join(choice(_IN_LVM) for _ in part) for part in old.value.split("-"))
    return str(uuid.uuid4())


def spellings(pairs: Mapping[str, str]) -> dict[bytes, bytes]:
    """Every way to write the keys of ``pairs``, with the values written in the same way.

    The spellings are: unchanged, in upper and lower case, without hyphens as GRUB writes them, with
    escaped hyphens as in systemd unit names, and for UUIDs with colons as mdadm writes them. A
    short identifier that could not be distinguished from other text without its hyphen is not
    searched for without it.
    """
    found: dict[bytes, bytes] = {}
    for old, new in pairs.items():
        for case in (str, str.lower, str.upper):
            a, b = case(old), case(new)
            found.setdefault(a.encode(), b.encode())
            if len(old) > 12:
                found.setdefault(a.replace("-", "").encode(), b.replace("-", "").encode())
                found.setdefault(_with_colons(a).encode(), _with_colons(b).encode())
            if "-" in old:
                found.setdefault(a.replace("-", r"\x2d").encode(), b.replace("-", r"\x2d").encode())
    return found


def _with_colons(value: str) -> str:
    plain = value.replace("-", "")
    return ":".join(plain[at : at + 8] for at in range(0, len(plain), 8))


_BEGINNING = 6
"""Bytes that most spellings of an identifier share: up to the first hyphen of LVM's."""
_START = rb"(?:(?<![0-9A-Fa-f])|(?<=\\x2d)|(?<=\\x2f))"
_END = rb"(?![0-9A-Fa-f])"
"""A short identifier must not be part of a longer number, such as a field of a cpio header; an
escaped character may precede it. A long identifier is never there by chance, and device-mapper
writes two of LVM's with nothing between them."""


class Renaming:
    """A mapping from old identifiers to new ones, as a change of bytes that preserves their length."""

    def __init__(self, pairs: Mapping[str, str]) -> None:
        self._spellings = spellings(pairs)
        alternatives = [
            re.escape(one) if len(one) >= 32 else _START + re.escape(one) + _END
            for one in sorted(self._spellings, key=len, reverse=True)
        ]
        self._pattern = re.compile(b"|".join(alternatives))
        self._beginnings = sorted({one[:_BEGINNING] for one in self._spellings})

    def __call__(self, content: bytes) -> bytes:
        """``content`` with old identifiers replaced by new ones; the same object if it contains
        none."""
        parts, at = [], 0
        for found in self._found(content):
            parts += [content[at : found.start()], self._spellings[found[0]]]
            at = found.end()
        return b"".join([*parts, content[at:]]) if parts else content

    def names(self, content: bytes) -> bool:
        """Whether ``content`` contains an old identifier."""
        return any(True for _ in self._found(content))

    def _found(self, content: bytes) -> Iterator[re.Match[bytes]]:
        """The old identifiers in ``content``, in their order.

        The regular expression is tried only where a spelling may begin: it takes half a microsecond
        for each byte, and an initramfs has many millions.
        """
        places = sorted(place for one in self._beginnings for place in _places(one, content))
        end = 0
        for place in places:
            if place >= end and (found := self._pattern.match(content, place)):
                end = found.end()
                yield found


def _places(part: bytes, content: bytes) -> Iterator[int]:
    at = content.find(part)
    while at >= 0:
        yield at
        at = content.find(part, at + 1)


def once(found: Iterable[Identifier]) -> list[Identifier]:
    """Each value once: partitions of one MBR share theirs."""
    return list({one.value: one for one in found}.values())
