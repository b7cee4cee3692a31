"""Finds the other files that the header of a disk image names, before any program opens the image.

A program that opens such an image, for example ``qemu-img convert``, also reads those files,
whatever they are.
"""

from __future__ import annotations

import re
import struct
from typing import IO

_NAME = 4096
"""The most bytes of a name that are read; QEMU reads 1023."""
_DESCRIPTOR = 1 << 20
"""Bytes of a VMDK descriptor that QEMU reads (block/vmdk.c)."""
_EXTENSIONS = 64 << 10
_DATA_FILE = 0x44415441
_SECTOR = 512
_EXTENT = re.compile(rb'^[ \t]*\w+[ \t]+\d+[ \t]+\w+[ \t]+"([^"\r\n]*)"', re.MULTILINE)
_PARENT = re.compile(rb'parentFileNameHint[^"\r\n]{0,4}"([^"\r\n]*)"', re.IGNORECASE)


def backing_file(file: IO[bytes], head: bytes) -> bytes:
    """The name of a qcow2's backing file (docs/interop/qcow2.rst)."""
    offset, size = struct.unpack(">QI", head[8:20])
    return _read(file, offset, min(size, _NAME))


def data_file(file: IO[bytes], head: bytes) -> bytes:
    """The name of a qcow2's external data file, from its header extensions; empty if none."""
    length = struct.unpack(">I", head[100:104])[0]
    area = _read(file, length, _EXTENSIONS)
    at = 0
    while at + 8 <= len(area):
        kind, size = struct.unpack(">II", area[at : at + 8])
        if kind == _DATA_FILE:
            return area[at + 8 : at + 8 + min(size, _NAME)]
        if kind == 0:
            break
        at += 8 + (size + 7) // 8 * 8
    return b""


def of_other(file: IO[bytes], kind: str) -> list[bytes] | None:
    """The files that an image of another format names and QEMU would open; None if that cannot be
    read.

    QEMU does not open the parents of VHDX, VPC and VDI images.
    """
    if kind == "qed":
        return _of_qed(file)
    return _of_vmdk(file) if kind == "vmdk" else []


def _of_qed(file: IO[bytes]) -> list[bytes] | None:
    """Read the header described in docs/interop/qed_spec.rst."""
    head = _read(file, 0, 64)
    if len(head) < 64:
        return None
    features, offset, size = (*struct.unpack("<Q", head[16:24]), *struct.unpack("<II", head[56:64]))
    return [_read(file, offset, min(size, _NAME))] if features & 1 else []


def _of_vmdk(file: IO[bytes]) -> list[bytes] | None:
    """Read the descriptor, which is the file itself or embedded in it.

    The extents of an embedded descriptor are other files only if the header has no capacity.
    """
    head = _read(file, 0, 44)
    if head.startswith(b"KDMV"):
        if len(head) < 44:
            return None
        capacity, _, sector, sectors = struct.unpack("<QQQQ", head[12:44])
        text = _read(file, sector * _SECTOR, min(sectors * _SECTOR, _DESCRIPTOR)) if sector else b""
        if sector and not text:
            return None
        return _PARENT.findall(text) + ([] if capacity else _EXTENT.findall(text))
    text = _read(file, 0, _DESCRIPTOR)
    return _PARENT.findall(text) + _EXTENT.findall(text)


def _read(file: IO[bytes], offset: int, size: int) -> bytes:
    if offset >= 1 << 62:
        return b""
    file.seek(offset)
    return file.read(size)
