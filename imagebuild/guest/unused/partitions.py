"""The space between partitions: a partition that was deleted or shrunk, the partition table of a
disk that was smaller before.

Nothing is changed before the first partition, because boot loaders are there, nor inside an
extended partition, which contains partition tables.
"""

from __future__ import annotations

import errno
import json
import os
import struct
from base64 import b64decode
from collections.abc import Iterable
from pathlib import Path

from imagebuild.guest.shell import Shell
from imagebuild.guest.unused.zeros import punch

_GPT = b"EFI PART"
_HEADER = 92
"""In bytes; UEFI specification, "GPT Header"."""
Range = tuple[int, int]


def wipe_gaps(shell: Shell, disk: str, image: Path | None) -> None:
    """Zero the space between and after the partitions of a disk, by the kernel's name, if it has
    any. ``image`` is its file if that is raw."""
    punch(shell, disk, [one for one in found_gaps(shell, disk) if image is None or not is_hole(image, *one)])


def found_gaps(shell: Shell, disk: str) -> list[Range]:
    """Offset and length in bytes of the space between and after the partitions of a disk, by the kernel's name."""
    size, _, table = shell.line(f"blockdev --getsize64 {disk}; sfdisk --json {disk} 2>/dev/null || true").partition(
        "\n"
    )
    if not table.strip():
        return []
    found = json.loads(table)["partitiontable"]
    sector = int(found.get("sectorsize", 512))
    parts = [(one["start"] * sector, (one["start"] + one["size"]) * sector) for one in found.get("partitions", ())]
    if found["label"] not in ("gpt", "dos") or not parts:
        return []
    if found["label"] == "gpt":
        header = b64decode(shell.line(f"dd if={disk} bs={sector} skip=1 count=1 status=none | base64 -w0"))
        backup = backup_table(header, sector)
        if backup is None:
            return []
        parts.append(backup)
    return gaps(parts, int(size), sector)


def is_hole(image: Path, at: int, length: int) -> bool:
    """Whether a range of a raw file contains no data, so that it need not be zeroed."""
    with image.open("rb") as file:
        try:
            return os.lseek(file.fileno(), at, os.SEEK_DATA) >= at + length
        except OSError as error:
            return error.errno == errno.ENXIO  # no data until the end


def gaps(parts: Iterable[Range], size: int, sector: int) -> list[Range]:
    """Offset and length of what is not covered by any range of ``parts`` (start and end in bytes),
    from the first one on, in whole sectors."""
    found = []
    occupied = sorted(parts)
    at = occupied[0][1]
    for start, end in [*occupied[1:], (size - size % sector, size)]:
        if start > at:
            found.append((at, start - at))
        at = max(at, end)
    return found


def backup_table(header: bytes, sector: int) -> Range | None:
    """The location of the backup of a GPT, from the primary header; None if that is not a GPT
    header, or is invalid."""
    if len(header) < _HEADER or not header.startswith(_GPT):
        return None
    alternate, _first_usable, last_usable = struct.unpack_from("<QQQ", header, 32)
    return ((last_usable + 1) * sector, (alternate + 1) * sector) if last_usable < alternate else None
