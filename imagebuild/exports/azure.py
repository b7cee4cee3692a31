"""A disk for Azure: a VHD of the fixed type, whose disk is a multiple of 1 MiB.

It is the raw disk with a footer of 512 bytes (Microsoft, "Virtual Hard Disk Image Format
Specification" 1.0). The file is sparse: upload tools skip its holes. Time and identifier in the
footer are those of the source.
"""

from __future__ import annotations

import struct
import uuid
from pathlib import Path

from imagebuild.exports import disk_copies
from imagebuild.exports.export_source import ExportSource
from imagebuild.image import nbd_disk
from imagebuild.image.formats import CLUSTER, clusters
from imagebuild.progress import Progress

_UNIT = 1 << 20
_FOOTER = struct.Struct(">8sIIQI4sI4sQQHBBII16sB427x")
_CHECKSUM_AT = 64
_RESERVED_FEATURE = 2
_VERSION = 1 << 16
_NO_OFFSET = (1 << 64) - 1
_FIXED = 2
_CREATOR, _CREATOR_VERSION, _CREATOR_HOST = b"qem2", 0x50003, b"Wi2k"
"""As QEMU marks a disk whose exact size counts, not the one that its geometry gives (block/vpc.c)."""
_YEAR_2000 = 946_684_800
_NAMESPACE = uuid.UUID("7d4a2f0e-6a0a-5b9f-9c39-8f6f0c1f6b53")


def fill(source: ExportSource, target: Path, progress: Progress) -> None:
    """Write the only disk."""
    (disk,) = source.disks
    size = padded(disk.size)
    with target.open("xb") as file, nbd_disk.opened(disk.path, disk.format) as opened:
        for offset, data in opened.chunks():
            for number, part in enumerate(clusters(data)):
                if part:
                    file.seek(offset + number * CLUSTER)
                    file.write(part)
            progress.update("writing", offset / size)
        file.seek(size)
        file.write(footer(size, source.time, uuid.uuid5(_NAMESPACE, disk.sha256)))


def padded(size: int) -> int:
    """The size of a disk as Azure wants it, in bytes."""
    return -(-size // _UNIT) * _UNIT


def footer(size: int, time: int, identifier: uuid.UUID) -> bytes:
    """The footer of a fixed disk of ``size`` bytes that was made at ``time`` (seconds since 1970)."""
    fields = [
        b"conectix", _RESERVED_FEATURE, _VERSION, _NO_OFFSET, max(0, time - _YEAR_2000), _CREATOR, _CREATOR_VERSION,
        _CREATOR_HOST, size, size, *geometry(size // 512), _FIXED, 0, identifier.bytes, 0,
    ]  # fmt: skip
    plain = _FOOTER.pack(*fields)
    checksum = ~sum(plain) & 0xFFFFFFFF
    return plain[:_CHECKSUM_AT] + struct.pack(">I", checksum) + plain[_CHECKSUM_AT + 4 :]


def geometry(sectors: int) -> tuple[int, int, int]:
    """Cylinders, heads and sectors of a track, by the algorithm of the specification's appendix."""
    sectors = min(sectors, 65535 * 16 * 255)
    if sectors >= 65535 * 16 * 63:
        track, heads = 255, 16
        return sectors // track // heads, heads, track
    track = 17
    tracks = sectors // track
    heads = max(4, -(-tracks // 1024))
    if tracks >= heads * 1024 or heads > 16:
        track, heads = 31, 16
        tracks = sectors // track
    if tracks >= heads * 1024:
        track, heads = 63, 16
        tracks = sectors // track
    return tracks // heads, heads, track


def temporary(_source: ExportSource) -> int:
    """Nothing but the disk is written."""
    return 0


def result(source: ExportSource) -> int:
    """The bytes of the data; the rest of the file is holes."""
    return sum(disk_copies.data_size(disk) + disk_copies.MARGIN for disk in source.disks)
