"""Untrusted disk images: their format, and whether their header is safe to open.

A qcow2 header can name other files of the host as its backing file or data file. So it is read
here, according to the specification (docs/interop/qcow2.rst of QEMU), before any program opens the
image.
"""

from __future__ import annotations

import codecs
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Literal

from imagebuild.errors import UsageError
from imagebuild.host.hints import command_line, shown
from imagebuild.image import references

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
_COMPRESSED = {
    b"\x28\xb5\x2f\xfd": ("zstd", ".zst"),
    b"\x1f\x8b": ("gzip", ".gz"),
    b"\xfd7zXZ\0": ("xz", ".xz"),
    b"BZh": ("bzip2", ".bz2"),
    b"\x04\x22\x4d\x18": ("lz4", ".lz4"),
}
"""The first bytes of each program's output, and the suffix that it adds."""
_ARCHIVES = ((0, b"PK\x03\x04", "zip"), (0, b"7z\xbc\xaf\x27\x1c", "7z"), (257, b"ustar", "tar"))
_HEAD = 512
_MOST_NAMES = 3
_LENGTH_OF_V2 = 72
_LENGTH_OF_V3 = 104
_DIRTY, _CORRUPT, _EXTERNAL_DATA = 1 << 0, 1 << 1, 1 << 2
_KNOWN = _DIRTY | _CORRUPT | _EXTERNAL_DATA | 1 << 3 | 1 << 4
"""Incompatible features up to QEMU 9: dirty, corrupt, external data file, compression type,
extended L2 entries.
"""


def recognise(path: Path, given: Format | None = None) -> Format:
    """The format of the image at ``path``, as ``given`` or by its first bytes; a qcow2 header is
    checked.

    Raises UsageError if it is not a supported image, OSError if it cannot be read.
    """
    with path.open("rb") as file:
        return check(file, path, given)


def check(file: IO[bytes], path: Path, given: Format | None = None) -> Format:
    """Like ``recognise``, for the open file; messages call it ``path``."""
    head = file.read(_HEAD)
    if not head:
        raise UsageError(f"{path} is empty")
    if given is None:
        _check_other(file, path, head)
        if _is_text(head):
            raise UsageError(
                f"{path} is a text file, not a disk image", "give an image file, the folder of an artifact, or a recipe"
            )
    found: Format = given or ("qcow2" if head.startswith(_MAGIC) else "raw")
    if found == "qcow2":
        _check_qcow2(file, path, head)
    return found


def _is_text(head: bytes) -> bool:
    """Whether a file begins like a text, in UTF-8. No disk does: boot sectors, partition tables and the headers of
    file systems, LVM and LUKS have null bytes in their first sector.
    """
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return not any(byte < 0x20 and byte not in b"\t\n\f\r\x1b" for byte in head)


def _check_other(file: IO[bytes], path: Path, head: bytes) -> None:
    """Raise UsageError for a file of another format.

    The message includes the command that converts it, unless that would read other files.
    """
    for magic, (program, suffix) in _COMPRESSED.items():
        if head.startswith(magic):
            own = ", like the format raw.zst of `imagebuild build`" if program == "zstd" else ""
            unpacked = _free(path, path.name.removesuffix(suffix))
            raise UsageError(
                f"{path} is compressed with {program}{own}; only the image in it can be used",
                f"unpack it: {command_line(program, '-dc', path)} > {command_line(unpacked)}",
            )
    for at, magic, archive in _ARCHIVES:
        if head[at:].startswith(magic):
            raise UsageError(f"{path} is a {archive} archive; only an image in it can be used", "unpack it first")
    kind = next((name for magic, name in _OTHERS.items() if head.startswith(magic)), None)
    if kind is None:
        return
    named = references.of_other(file, kind)
    if named is None:
        raise UsageError(
            f"{path} is a {kind} image with a damaged header",
            f"inspect it: {command_line('qemu-img', 'check', '-f', kind, path)}",
        )
    if named:
        raise _of_several_files(path, f"is a {kind} image that reads its content from", named)
    convert = command_line("qemu-img", "convert", "-f", kind, "-O", "qcow2", path, _free(path, f"{path.stem}.qcow2"))
    raise UsageError(f"{path} is a {kind} image; only raw and qcow2 are supported", f"convert it: {convert}")


def _of_several_files(path: Path, what: str, named: Sequence[bytes]) -> UsageError:
    """The error for an image that names other files. It suggests no command: that would do what the
    check prevents.
    """
    names = ", ".join(f"‘{shown(name)}’" for name in named[:_MOST_NAMES])
    more = f" and {len(named) - _MOST_NAMES} more" if len(named) > _MOST_NAMES else ""
    return UsageError(
        f"{path} {what} {names}{more}",
        "warning: converting it copies the content of every named file, and of the files that those name in turn, into "
        "the new image; if you know that these files belong to it, make one image of them with qemu-img convert",
    )


def _free(path: Path, name: str) -> Path:
    """An unused file name in the image's folder."""
    new = path.absolute().with_name(name)
    number = 1
    while os.path.lexists(new):
        number += 1
        new = path.absolute().with_name(f"{Path(name).stem}-{number}{Path(name).suffix}")
    return new


def _check_qcow2(file: IO[bytes], path: Path, head: bytes) -> None:
    if not head.startswith(_MAGIC) or len(head) < _LENGTH_OF_V2:
        raise UsageError(f"{path} is not a qcow2 image")
    version, backing, _, _, _, encryption = struct.unpack(">IQIIQI", head[4:36])
    snapshots = struct.unpack(">I", head[60:64])[0]
    if version not in (2, 3) or (version == 3 and len(head) < _LENGTH_OF_V3):
        raise UsageError(f"{path} is a qcow2 image of version {version}; only versions 2 and 3 are supported")
    features = struct.unpack(">Q", head[72:80])[0] if version == 3 else 0
    if backing:
        named = [references.backing_file(file, head)]
        raise _of_several_files(path, "is incomplete without its backing file", named)
    if features & _EXTERNAL_DATA:
        named = [references.data_file(file, head) or b"?"]
        raise _of_several_files(path, "stores its data in another file:", named)
    if features & (_DIRTY | _CORRUPT):
        look = command_line("qemu-img", "check", "-f", "qcow2", path)
        raise UsageError(f"{path} was not closed cleanly, or is damaged", f"inspect it: {look}")
    if features & ~_KNOWN:
        raise UsageError(f"{path} uses unknown qcow2 features: {features & ~_KNOWN:#x}")
    if encryption:
        raise UsageError(f"{path} is an encrypted qcow2 image; only encryption inside the disk (LUKS) is supported")
    if snapshots:
        raise UsageError(
            f"{path} has {snapshots} internal snapshots, which would retain what is removed",
            "delete them with `qemu-img snapshot -d`, or convert the image",
        )
