"""Disk images that somebody else wrote: which format one has, and whether its header is one to open.

A qcow2 header can name other files of the host as its backing file or as its data. So it is read here, as the
specification (docs/interop/qcow2.rst of QEMU) lays it out, before any program opens the image.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO, Literal

from imagebuild.errors import UsageError

Format = Literal["raw", "qcow2"]

_MAGIC = b"QFI\xfb"
_OTHERS = {
    b"KDMV": "vmdk",
    b"# Disk DescriptorFile": "vmdk",
    b"vhdxfile": "vhdx",
    b"conectix": "vpc",
    b"<<< ": "vdi",
    b"QED\0": "qed",
}
_LENGTH_OF_V2 = 72
_LENGTH_OF_V3 = 104
_DIRTY, _CORRUPT, _EXTERNAL_DATA = 1 << 0, 1 << 1, 1 << 2
_KNOWN = _DIRTY | _CORRUPT | _EXTERNAL_DATA | 1 << 3 | 1 << 4
"""Incompatible features up to QEMU 9: dirty, corrupt, external data file, compression type, extended L2 entries."""


def recognise(path: Path, given: Format | None = None) -> Format:
    """The format of the image at ``path``, as ``given`` or by its first bytes, with a qcow2 header checked.

    Raises UsageError for what is no image that can be worked on, OSError if it cannot be read.
    """
    with path.open("rb") as file:
        return check(file, path, given)


def check(file: IO[bytes], path: Path, given: Format | None = None) -> Format:
    """As ``recognise``, of the open file; messages call it ``path``."""
    head = file.read(_LENGTH_OF_V3)
    if not head:
        raise UsageError(f"{path} is empty")
    other = next((name for magic, name in _OTHERS.items() if head.startswith(magic)), None)
    if other is not None and given is None:
        convert = f"qemu-img convert -f {other} -O qcow2 {path.name} {path.stem}.qcow2"
        raise UsageError(f"{path} is a {other} image; raw and qcow2 can be worked on", f"convert it: {convert}")
    found: Format = given or ("qcow2" if head.startswith(_MAGIC) else "raw")
    if found == "qcow2":
        _check_qcow2(path, head)
    return found


def _check_qcow2(path: Path, head: bytes) -> None:
    if not head.startswith(_MAGIC) or len(head) < _LENGTH_OF_V2:
        raise UsageError(f"{path} is no qcow2 image")
    version, backing, _, _, _, encryption = struct.unpack(">IQIIQI", head[4:36])
    snapshots = struct.unpack(">I", head[60:64])[0]
    if version not in (2, 3) or (version == 3 and len(head) < _LENGTH_OF_V3):
        raise UsageError(f"{path} is a qcow2 image of version {version}; versions 2 and 3 can be worked on")
    features = struct.unpack(">Q", head[72:80])[0] if version == 3 else 0
    if backing:
        raise UsageError(
            f"{path} has a backing file: it is not whole without another image",
            f"make it whole: qemu-img convert -f qcow2 -O qcow2 {path.name} NEW.qcow2",
        )
    if features & _EXTERNAL_DATA:
        raise UsageError(f"{path} keeps its data in another file", "convert it to an image of one file")
    if features & (_DIRTY | _CORRUPT):
        raise UsageError(
            f"{path} was not closed well, or is damaged", f"look at it with `qemu-img check -f qcow2 {path.name}`"
        )
    if features & ~_KNOWN:
        raise UsageError(f"{path} uses features of qcow2 that are not known here: {features & ~_KNOWN:#x}")
    if encryption:
        raise UsageError(f"{path} is an encrypted qcow2; encryption inside of the disk (LUKS) is what can be opened")
    if snapshots:
        raise UsageError(
            f"{path} holds {snapshots} internal snapshots, which would keep what is removed",
            "delete them with `qemu-img snapshot -d`, or convert the image",
        )
