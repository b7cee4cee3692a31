"""LVM identifiers on a physical volume: its own, and those of its volume group and of the logical
volumes.

libguestfs's calls generate random identifiers, which is too late for the references to them, and
leave those of the logical volumes and in all earlier metadata. Therefore the identifiers are
replaced in the text of the metadata, which keeps its length. The layout is that of lvm2's
``lib/format_text/layout.h`` and ``lib/label/label.h``.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from imagebuild.errors import GuestError

_SECTOR = 512
_LABEL = b"LABELONE"
_MAGIC = b" LVM2 x[5A%r0N*>"
_LARGEST = 256 << 20
"""The size limit of a metadata area in bytes; lvm2 creates 1 MiB."""
_PIECE = 1 << 20
_ID = re.compile(rb'^\s*([\w+.-]+) \{\n\s*id = "([\w!#-]{38})"$', re.MULTILINE | re.ASCII)


@dataclass(frozen=True)
class Volume:
    """A thing with an identifier: ``pv``, ``vg`` or ``lv``, its name in the metadata, the
    identifier with hyphens."""

    type: str
    name: str
    value: str


def volumes(guestfs: Any, device: str) -> list[Volume]:
    """The physical volume ``device``, and everything in its metadata about its volume group."""
    label = _label(guestfs, device)
    found = [Volume("pv", device, _hyphenated(label.id))]
    for area in _areas(guestfs, device, label):
        for text in area.texts():
            found += _in(text)
    return found


def renew(guestfs: Any, device: str, pairs: Mapping[str, str]) -> None:
    """Replace the identifiers on ``device`` that are keys of ``pairs`` by the values, in earlier
    metadata too."""
    label = _label(guestfs, device)
    areas = list(_areas(guestfs, device, label))
    for area in areas:
        area.replace({old.encode(): new.encode() for old, new in pairs.items()})
        for at in range(0, len(area.content), _PIECE):
            guestfs.pwrite_device(device, area.content[at : at + _PIECE], area.at + at)
    new = pairs.get(_hyphenated(label.id), "").replace("-", "").encode()
    if new:
        sector = label.sector.replace(label.id, new, 1)
        guestfs.pwrite_device(device, sector[:16] + _sum(sector[20:]) + sector[20:], label.at)


@dataclass(frozen=True)
class _Label:
    at: int
    sector: bytes

    @property
    def id(self) -> bytes:
        start = _number(self.sector[20:24])
        return self.sector[start : start + 32]

    def areas(self) -> list[tuple[int, int]]:
        """Offset and size of the metadata areas: the second of two lists, each of which ends with
        zeros."""
        at, lists = _number(self.sector[20:24]) + 40, []
        for _ in range(2):
            found = []
            while (place := _number(self.sector[at : at + 8])) and at < _SECTOR:
                found.append((place, _number(self.sector[at + 8 : at + 16])))
                at += 16
            at += 16
            lists.append(found)
        return lists[1]


def _label(guestfs: Any, device: str) -> _Label:
    start = guestfs.pread_device(device, 4 * _SECTOR, 0)
    for at in range(0, len(start), _SECTOR):
        sector = start[at : at + _SECTOR]
        if sector[:8] == _LABEL and sector[16:20] == _sum(sector[20:]):
            return _Label(at, sector)
    raise GuestError(f"the LVM label of {device} is damaged")


class _Area:
    """A metadata area: a header, then a ring of texts. The header contains the position of the
    current text."""

    def __init__(self, device: str, at: int, content: bytes) -> None:
        self.at = at
        self.content = content
        if content[4:20] != _MAGIC or content[:4] != _sum(content[4:_SECTOR]):
            raise _damaged(device)
        for _, place, size, checksum in self._locations():
            if not _SECTOR <= place < len(content) or size > len(content) or _sum(self._text(place, size)) != checksum:
                raise _damaged(device)

    def _locations(self) -> list[tuple[int, int, int, bytes]]:
        """The locations of the current text and of one that was about to become current: the
        position of the entry, the text's offset, size and checksum."""
        fields = [(at, self.content[at : at + 24]) for at in (40, 64)]
        found = [(at, _number(field[:8]), _number(field[8:16]), field[16:20]) for at, field in fields]
        return [one for one in found if one[1] and one[2]]

    def _text(self, place: int, size: int) -> bytes:
        ring = self.content[_SECTOR:]
        return (ring[place - _SECTOR :] + ring[: place - _SECTOR])[:size]

    def texts(self) -> list[bytes]:
        return [self._text(place, size) for _, place, size, _ in self._locations()]

    def replace(self, pairs: Mapping[bytes, bytes]) -> None:
        """Replace in the whole ring, and correct the checksums."""
        locations = self._locations()
        # Rotated so that the current text is contiguous.
        turn = locations[0][1] - _SECTOR if locations else 0
        ring = self.content[_SECTOR:]
        ring = ring[turn:] + ring[:turn]
        for old, new in pairs.items():
            ring = ring.replace(old, new)
        ring = ring[len(ring) - turn :] + ring[: len(ring) - turn]
        head = bytearray(self.content[:_SECTOR])
        self.content = bytes(head) + ring
        for at, place, size, _ in locations:
            head[at + 16 : at + 20] = _sum(self._text(place, size))
        head[:4] = _sum(bytes(head[4:]))
        self.content = bytes(head) + ring


def _areas(guestfs: Any, device: str, label: _Label) -> Iterator[_Area]:
    for at, size in label.areas():
        if not 2 * _SECTOR <= size <= _LARGEST:
            raise _damaged(device)
        pieces = [guestfs.pread_device(device, min(_PIECE, size - done), at + done) for done in range(0, size, _PIECE)]
        yield _Area(device, at, b"".join(pieces))


def _in(text: bytes) -> Iterator[Volume]:
    """The volumes in the metadata of a volume group, which begins with the group, followed by the
    physical and the logical volumes."""
    logical = text.find(b"logical_volumes {")
    group = ""
    for found in _ID.finditer(text):
        name, value = found[1].decode(), found[2].decode()
        if not group:
            group = name
            yield Volume("vg", name, value)
        elif logical < 0 or found.start() < logical:
            yield Volume("pv", f"{group}/{name}", value)
        else:
            yield Volume("lv", f"{group}/{name}", value)


def _hyphenated(value: bytes) -> str:
    text = value.decode("ascii", "replace")
    return "-".join([text[:6], *(text[at : at + 4] for at in range(6, 26, 4)), text[26:]])


def _sum(data: bytes) -> bytes:
    """lvm2's CRC: zlib's with a different start value and without the inversion at the end."""
    return (zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF).to_bytes(4, "little")


def _number(field: bytes) -> int:
    return int.from_bytes(field, "little")


def _damaged(device: str) -> GuestError:
    return GuestError(f"the LVM metadata of {device} is damaged", "check it with `vgck`; `vgcfgrestore` can restore it")
