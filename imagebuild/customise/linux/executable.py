"""UEFI programs: the sections of a PE file, and whether it is signed (Microsoft's "PE Format").
Pure functions."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from imagebuild.errors import GuestError

_PE32, _PE32_PLUS = 0x10B, 0x20B
_DIRECTORIES = {_PE32: 92, _PE32_PLUS: 108}
"""The offset in the optional header of the number of data directories, which follow immediately."""
_CERTIFICATES = 4
"""The number of the data directory that locates the signatures."""
_MOST_SECTIONS = 96


@dataclass(frozen=True)
class PeSection:
    """A section: its name, the position of its content in the file, its length, and the available
    space."""

    name: str
    at: int
    size: int
    space: int
    header_at: int


@dataclass(frozen=True)
class Executable:
    """The known facts about a PE file."""

    signed: bool
    sections: tuple[PeSection, ...]

    def section(self, name: str) -> PeSection | None:
        """The section with that name, if there is one."""
        return next((one for one in self.sections if one.name == name), None)


def parse(content: bytes) -> Executable | None:
    """The PE file in ``content``; None if it is not one."""
    try:
        return _parsed(content)
    except (struct.error, IndexError):
        return None


def _parsed(content: bytes) -> Executable | None:
    (start,) = struct.unpack_from("<I", content, 0x3C)
    if content[:2] != b"MZ" or content[start : start + 4] != b"PE\0\0":
        return None
    (number,) = struct.unpack_from("<H", content, start + 6)
    (length,) = struct.unpack_from("<H", content, start + 20)
    optional = start + 24
    (magic,) = struct.unpack_from("<H", content, optional)
    if magic not in _DIRECTORIES or number > _MOST_SECTIONS:
        return None
    directories = optional + _DIRECTORIES[magic]
    (count,) = struct.unpack_from("<I", content, directories)
    signed = count > _CERTIFICATES and struct.unpack_from("<II", content, directories + 4 + 8 * _CERTIFICATES)[1] > 0
    sections = []
    for index in range(number):
        at = optional + length + 40 * index
        name, size, _, space, place = struct.unpack_from("<8sIIII", content, at)
        text = name.rstrip(b"\0").decode("ascii", "replace")
        sections.append(PeSection(text, place, min(size, space), space, at))
    return Executable(signed, tuple(sections))


def content_of(content: bytes, section: PeSection) -> bytes:
    """The content of ``section``."""
    return content[section.at : section.at + section.size]


def with_content(content: bytes, section: PeSection, new: bytes) -> bytes:
    """``content`` with different content in ``section``, padded with zeros. GuestError if it does
    not fit."""
    if len(new) > section.space:
        raise GuestError(
            f"the section {section.name} of a UEFI program has room for {section.space} bytes, but needs {len(new)}"
        )
    head = content[: section.header_at + 8] + struct.pack("<I", len(new)) + content[section.header_at + 12 :]
    return head[: section.at] + new.ljust(section.space, b"\0") + head[section.at + section.space :]
