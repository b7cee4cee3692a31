"""What lies between partitions: a partition that was deleted or made smaller, the table of a disk that was smaller once.

In front of the first partition nothing is touched: boot loaders are there. Nor inside an extended partition, whose tables are there.
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
"""Bytes; UEFI specification, "GPT Header"."""
Range = tuple[int, int]


def wipe_gaps(shell: Shell, disk: str, image: Path | None) -> None:
    """Zero what is between and behind the partitions of a disk, by the kernel's name, if it has any. ``image`` is the file behind it, if that is raw."""
    size, _, table = shell.line(f"blockdev --getsize64 {disk}; sfdisk --json {disk} 2>/dev/null || true").partition(
        "\n"
    )
    if not table.strip():
        return
    found = json.loads(table)["partitiontable"]
    sector = int(found.get("sectorsize", 512))
    parts = [(one["start"] * sector, (one["start"] + one["size"]) * sector) for one in found.get("partitions", ())]
    if found["label"] not in ("gpt", "dos") or not parts:
        return
    if found["label"] == "gpt":
        header = b64decode(shell.line(f"dd if={disk} bs={sector} skip=1 count=1 status=none | base64 -w0"))
        backup = backup_table(header, sector)
        if backup is None:
            return
        parts.append(backup)
    punch(shell, disk, [one for one in gaps(parts, int(size), sector) if image is None or not is_hole(image, *one)])


def is_hole(image: Path, at: int, length: int) -> bool:
    """Whether a raw file has nothing in a range, which needs no zeros then."""
    with image.open("rb") as file:
        try:
            return os.lseek(file.fileno(), at, os.SEEK_DATA) >= at + length
        except OSError as error:
            return error.errno == errno.ENXIO  # no data up to the end


def gaps(parts: Iterable[Range], size: int, sector: int) -> list[Range]:
    """Offset and length of what no range of ``parts`` (start and end in bytes) covers, from the first one on, in whole sectors."""
    found = []
    occupied = sorted(parts)
    at = occupied[0][1]
    for start, end in [*occupied[1:], (size - size % sector, size)]:
        if start > at:
            found.append((at, start - at))
        at = max(at, end)
    return found


def backup_table(header: bytes, sector: int) -> Range | None:
    """Where the backup of a GPT is, from the primary header; None if that is no GPT's, or makes no sense."""
    if len(header) < _HEADER or not header.startswith(_GPT):
        return None
    alternate, _first_usable, last_usable = struct.unpack_from("<QQQ", header, 32)
    return ((last_usable + 1) * sector, (alternate + 1) * sector) if last_usable < alternate else None
