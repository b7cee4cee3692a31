"""Disks of a source in the formats that exports contain, and how much space they take."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from imagebuild.exports.export_source import ExportDisk
from imagebuild.image import nbd_disk, one_pass, qemu_img
from imagebuild.image.formats import Writer
from imagebuild.image.qcow2 import Qcow2
from imagebuild.image.vmdk import Vmdk
from imagebuild.progress import Progress

MARGIN = 4 << 20
"""Bytes for headers, tables and small files."""


def write_vmdk(disk: ExportDisk, path: Path, progress: Progress) -> str:
    """Write the disk as a stream-optimized vmdk and return the file's SHA-256."""
    digest = _written(disk, Vmdk(path, disk.size), progress)
    qemu_img.check(path, "vmdk")
    return digest


def as_qcow2(disk: ExportDisk, path: Path, progress: Progress) -> Path:
    """The disk's own file if it is a qcow2, else a compressed one that is written to ``path``."""
    if disk.format != "qcow2":
        _written(disk, Qcow2(path, disk.size, "zstd"), progress)
        qemu_img.check(path, "qcow2")
        return path
    return disk.path


def data_size(disk: ExportDisk) -> int:
    """The bytes of the disk that are no holes."""
    with nbd_disk.opened(disk.path, disk.format) as opened:
        return opened.data_size()


def compressed_size(disk: ExportDisk) -> int:
    """About the most bytes that the disk takes when it is compressed: a quarter more than a qcow2
    that may be compressed better, but not more than its data.
    """
    data = data_size(disk)
    return MARGIN + (data if disk.format == "raw" else min(data, disk.file_size * 5 // 4))


def qcow2_size(disk: ExportDisk) -> int:
    """About the most bytes that the file of :func:`as_qcow2` has."""
    return MARGIN + (disk.file_size if disk.format == "qcow2" else data_size(disk))


def _written(disk: ExportDisk, writer: Writer, progress: Progress) -> str:
    with closing(writer), nbd_disk.opened(disk.path, disk.format) as opened:
        one_pass.write(opened.readers(), opened.size, [writer], progress)
        return writer.finish()
