"""A disk for Google Compute Engine: ``disk.raw`` in a tar.gz.

Google's "Manually import boot disks": the file has that name, its size is a multiple of 1 GiB, and
the archive is in GNU tar's old format. It is written without a copy of the disk.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

from imagebuild.exports import archive, disk_copies
from imagebuild.exports.export_source import ExportSource
from imagebuild.exports.gzip_stream import GzipStream
from imagebuild.image import nbd_disk
from imagebuild.progress import Progress

_NAME = "disk.raw"
_UNIT = 1 << 30


def fill(source: ExportSource, target: Path, progress: Progress) -> None:
    """Write the archive of the only disk."""
    (disk,) = source.disks
    size = padded(disk.size)
    with (
        target.open("xb") as file,
        GzipStream(file) as packed,
        nbd_disk.opened(disk.path, disk.format) as opened,
    ):
        packed.write(archive.member(_NAME, size, source.time).tobuf(tarfile.GNU_FORMAT))
        start = packed.tell()
        for offset, data in opened.chunks():
            packed.write_zeros(start + offset - packed.tell())
            packed.write(data)
            progress.update("compressing", offset / size)
        packed.write_zeros(start + size - packed.tell())
        packed.write_zeros(2 * tarfile.BLOCKSIZE)
        packed.write_zeros(-packed.tell() % tarfile.RECORDSIZE)
        packed.finish()


def padded(size: int) -> int:
    """The size of a disk as Compute Engine wants it, in bytes."""
    return -(-size // _UNIT) * _UNIT


def temporary(_source: ExportSource) -> int:
    """Nothing but the archive is written."""
    return 0


def result(source: ExportSource) -> int:
    """About the most bytes that the archive has; deflated zeros take a thousandth."""
    return sum(disk_copies.compressed_size(disk) + padded(disk.size) // 1000 for disk in source.disks)
