"""LUKS headers: reading and replacing their UUID (the LUKS1 and LUKS2 on-disk format
specifications). libguestfs can only read it."""

from __future__ import annotations

import hashlib
from typing import Any

from imagebuild.errors import GuestError

_MAGIC, _MAGIC_OF_SECOND = b"LUKS\xba\xbe", b"SKUL\xba\xbe"
_UUID = slice(168, 208)
"""The offset of the UUID in both versions, as text that is padded with zeros."""
_ALGORITHM, _SUM = slice(72, 104), slice(448, 512)
_SIZES = frozenset(1 << power for power in range(14, 23))
"""The sizes of one LUKS2 header with its JSON area in bytes, 16 KiB to 4 MiB: the specification
allows no others."""
_PIECE = 1 << 20


def renew(guestfs: Any, device: str, new: str) -> None:
    """Give the LUKS device ``device`` the UUID ``new``. GuestError, before anything is written, if
    a header is damaged."""
    head = guestfs.pread_device(device, 512, 0)
    version = int.from_bytes(head[6:8], "big")
    if head[:6] != _MAGIC or version not in (1, 2):
        raise GuestError(f"{device} has no LUKS header of a supported version")
    if version == 1:
        guestfs.pwrite_device(device, _text(new), _UUID.start)
        return
    size = int.from_bytes(head[8:16], "big")
    if size not in _SIZES:
        raise _damaged(device)
    headers = [_checked(guestfs, device, at, size, magic) for at, magic in ((0, _MAGIC), (size, _MAGIC_OF_SECOND))]
    for header, at in zip(headers, (0, size), strict=True):
        header[_UUID] = _text(new)
        header[_SUM] = _sum(header, device)
        guestfs.pwrite_device(device, bytes(header[:512]), at)


def _checked(guestfs: Any, device: str, at: int, size: int, magic: bytes) -> bytearray:
    """One copy of a LUKS2 header with its JSON area, if its checksum is correct."""
    parts = [guestfs.pread_device(device, min(_PIECE, size - done), at + done) for done in range(0, size, _PIECE)]
    header = bytearray(b"".join(parts))
    if header[:6] != magic or len(header) != size or header[_SUM] != _sum(header, device):
        raise _damaged(device)
    return header


def _sum(header: bytearray, device: str) -> bytes:
    name = bytes(header[_ALGORITHM]).rstrip(b"\0").decode("ascii", "replace")
    if name not in ("sha1", "sha256", "sha384", "sha512"):
        raise GuestError(f"the LUKS header of {device} has an unsupported checksum: {name}")
    return hashlib.new(name, header[: _SUM.start] + bytes(64) + header[_SUM.stop :]).digest().ljust(64, b"\0")


def _text(uuid: str) -> bytes:
    return uuid.encode().ljust(40, b"\0")


def _damaged(device: str) -> GuestError:
    return GuestError(f"the LUKS header of {device} is damaged", "`cryptsetup repair` repairs it from its other copy")
