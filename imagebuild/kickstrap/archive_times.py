"""Makes the times in a root archive those of its packages: the same packages give the same bytes.

mmdebstrap gives every file that was written during its run one time, SOURCE_DATE_EPOCH. It is not
known then which package will be the newest, so that time is the mirror's, which is later. Here it
becomes the time of the newest file of a package. The format is that of tar(5): blocks of 512 bytes,
numbers in octal, and a checksum over each header.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_BLOCK = 512
_MTIME = slice(136, 148)
_CHECKSUM = slice(148, 156)
_DAY = 24 * 3600
_SHADOW = ("./etc/shadow", "./etc/shadow-")
"""Their third field is the day of the last change of a password, shadow(5)."""


def settle(archive: Path, written: int, *, apart: str = "") -> int:
    """Change the time ``written`` in ``archive`` to that of its newest file that is older, and return
    that; seconds since 1970. ``written`` itself if no file is older. Files in the folder ``apart`` do
    not count as the newest one.
    """
    with archive.open("r+b") as file:
        return settle_open(file, written, apart=apart)


def settle_open(file: BinaryIO, written: int, *, apart: str = "") -> int:
    """The same for an archive that is open for reading and writing."""
    outside = _headers_below(file, apart) if apart else frozenset()
    headers = list(_headers(file))
    files = [mtime for offset, mtime, kind in headers if kind in b"0\0" and mtime < written and offset not in outside]
    newest = max(files, default=written)
    if newest == written:
        return written
    for offset, mtime, _ in headers:
        if mtime == written:
            _set_mtime(file, offset, newest)
    for offset, size in list(_members(file, _SHADOW)):
        file.seek(offset)
        text = file.read(size)
        changed = with_day(text, written // _DAY, newest // _DAY)
        if len(changed) == size:
            file.seek(offset)
            file.write(changed)
    return newest


def with_day(shadow: bytes, old: int, new: int) -> bytes:
    """A shadow(5) file in which the passwords that were last changed on the day ``old`` were changed on
    ``new``.
    """
    lines = []
    for line in shadow.split(b"\n"):
        fields = line.split(b":")
        if len(fields) > 2 and fields[2] == b"%d" % old:
            fields[2] = b"%d" % new
        lines.append(b":".join(fields))
    return b"\n".join(lines)


def _headers(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Each header, those of extended attributes included: its offset, its time, its type."""
    offset, end = 0, file.seek(0, 2)
    while offset < end:
        file.seek(offset)
        header = file.read(_BLOCK)
        if len(header) < _BLOCK or header == bytes(_BLOCK):
            return
        yield offset, tarfile.nti(header[_MTIME]), header[156]  # type: ignore[attr-defined]
        size = tarfile.nti(header[124:136])  # type: ignore[attr-defined]
        offset += _BLOCK + (size + _BLOCK - 1) // _BLOCK * _BLOCK


def _headers_below(file: BinaryIO, folder: str) -> frozenset[int]:
    """The offsets of the headers of all files in ``folder``."""
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:") as root:
        return frozenset(member.offset_data - _BLOCK for member in root if member.name.startswith(f"{folder}/"))


def _set_mtime(file: BinaryIO, offset: int, mtime: int) -> None:
    file.seek(offset)
    header = bytearray(file.read(_BLOCK))
    header[_MTIME] = b"%011o\0" % mtime
    header[_CHECKSUM] = b" " * 8
    header[_CHECKSUM] = b"%06o\0 " % sum(header)
    file.seek(offset)
    file.write(header)


def _members(file: BinaryIO, names: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """The offsets and sizes of the contents of these files."""
    left = set(names)
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:") as root:
        for member in root:
            if member.name in left and member.isfile():
                left.discard(member.name)
                yield member.offset_data, member.size
            if not left:
                return
