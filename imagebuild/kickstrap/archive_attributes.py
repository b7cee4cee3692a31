"""Reads what mke2fs leaves out of a root archive, and what it might not understand: the extended attributes
and the kinds of its members.

The format is that of pax(1), as GNU tar and mmdebstrap write it: blocks of 512 bytes; a header of type ``x``
is followed by records ``LENGTH NAME=VALUE`` for the next member.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_BLOCK = 512
_PAX = b"x"
_KINDS = b"\x000123456"
"""Files, hard and symbolic links, devices, folders and FIFOs."""
_ATTRIBUTE = b"SCHILY.xattr."
_KEPT = "security.capability"
"""The only attribute that mke2fs reads from an archive (misc/create_inode_libarchive.c)."""


@dataclass(frozen=True)
class ArchiveContent:
    """``attributes`` maps paths, which start with a slash, to the attributes that mke2fs leaves out.
    ``unusual`` is the first member of a kind that only tar may understand; ``below`` says whether one is in
    the folder that was asked for.
    """

    attributes: Mapping[str, Mapping[str, bytes]]
    unusual: str = ""
    below: bool = False


def read(archive: Path, folder: str = "") -> ArchiveContent:
    """The content of a root archive; ``folder`` is a path in it, without a slash at its start."""
    attributes: dict[str, dict[str, bytes]] = {}
    unusual, below = "", False
    prefix = f"{folder}/".encode()
    with archive.open("rb", buffering=_BLOCK) as file:
        for name, kind, records in _members(file):
            path = name.removeprefix(b"./").rstrip(b"/")
            text = "/" + path.decode("utf-8", "surrogateescape")
            if kind not in _KINDS:
                unusual = unusual or text
            below = below or (bool(folder) and path.startswith(prefix))
            found = {
                key.removeprefix(_ATTRIBUTE).decode("utf-8", "surrogateescape"): value
                for key, value in records.items()
                if key.startswith(_ATTRIBUTE)
            }
            found.pop(_KEPT, None)
            if found:
                attributes[text] = found
    return ArchiveContent(attributes, unusual, below)


def _members(file: BinaryIO) -> Iterator[tuple[bytes, bytes, dict[bytes, bytes]]]:
    """The name, type and pax records of each member."""
    records: dict[bytes, bytes] = {}
    while len(header := file.read(_BLOCK)) == _BLOCK and header != bytes(_BLOCK):
        kind, size = header[156:157], _number(records.get(b"size"), header[124:136])
        blocks = (size + _BLOCK - 1) // _BLOCK * _BLOCK
        if kind == _PAX:
            records = dict(_records(file.read(blocks)[:size]))
            continue
        name, prefix = (header[at : at + length].partition(b"\0")[0] for at, length in ((0, 100), (345, 155)))
        full = prefix + b"/" + name if prefix and header[257:263] == b"ustar\0" else name
        yield records.get(b"path", full), kind, records
        records = {}
        file.seek(blocks, 1)


def _number(record: bytes | None, octal: bytes) -> int:
    """A size: from a record, from octal digits, or from the bytes that GNU tar writes for a large one."""
    if record is not None:
        return int(record)
    if octal[0] & 0x80:
        return int.from_bytes(bytes([octal[0] & 0x7F]) + octal[1:], "big")
    return int(octal.rstrip(b"\0 ") or b"0", 8)


def _records(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records of a header of type ``x``: each starts with its own length in bytes."""
    while text:
        length = int(text.partition(b" ")[0])
        key, _, value = text[:length].partition(b" ")[2].partition(b"=")
        yield key, value.removesuffix(b"\n")
        text = text[length:]
