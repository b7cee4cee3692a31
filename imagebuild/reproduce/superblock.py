"""The identifiers at the beginning of a disk or partition.

Partition tables: UEFI specification, 5.2 and 5.3. File systems: Linux, Documentation/filesystems/ext4
(super.rst), XFS's xfs_format.h.
"""

from __future__ import annotations

import struct
from uuid import UUID

SIZE = 4096
"""Bytes at the beginning that are looked at."""


def identifiers(head: bytes) -> dict[str, str]:
    """What identifies the disk or file system that begins with ``head``; empty if it is not known."""
    if len(head) < SIZE:
        return {}
    if head[1024 + 56 : 1024 + 58] == b"\x53\xef":
        block = head[1024:2048]
        return {"UUID": _uuid(block[104:120]), "hash seed": _uuid(block[236:252])}
    if head[:4] == b"XFSB":
        return {"UUID": _uuid(head[32:48])}
    if head[510:512] != b"\x55\xaa":
        return {}
    if head[82:90] == b"FAT32   ":
        return {"UUID": f"{struct.unpack('<I', head[67:71])[0]:08X}"}
    found = {"disk signature": f"{struct.unpack('<I', head[440:444])[0]:08x}"}
    if head[512:520] == b"EFI PART":
        found["disk GUID"] = str(UUID(bytes_le=head[568:584]))
        for number in range(4):
            entry = head[1024 + number * 128 : 1152 + number * 128]
            if any(entry[:16]):
                found[f"GUID of partition {number + 1}"] = str(UUID(bytes_le=entry[16:32]))
    return found


def _uuid(value: bytes) -> str:
    return str(UUID(bytes=value))
