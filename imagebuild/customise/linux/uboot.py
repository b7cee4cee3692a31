"""U-Boot images: scripts and initramfs images after a header with checksums (U-Boot's
``include/image.h``). Pure functions."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace

_MAGIC = b"\x27\x05\x19\x56"
_HEADER = 64
_HEADER_SUM, _SIZE, _SUM = slice(4, 8), slice(12, 16), slice(24, 28)
_TYPE = 30
FIT = b"\xd0\x0d\xfe\xed"
"""A flattened device tree: the newer image format is one, with a checksum or a signature for each
of its parts."""


@dataclass(frozen=True)
class UBootImage:
    """The data after the header, whether it is an initramfs, and what follows it."""

    header: bytes
    data: bytes
    rest: bytes

    @property
    def is_ramdisk(self) -> bool:
        return self.header[_TYPE] == 3

    @property
    def is_script(self) -> bool:
        return self.header[_TYPE] == 6

    def with_data(self, data: bytes) -> UBootImage:
        """The image with different data."""
        return replace(self, data=data)

    def packed(self) -> bytes:
        """The image with a header that matches its data."""
        header = bytearray(self.header)
        header[_SIZE] = struct.pack(">I", len(self.data))
        header[_SUM] = struct.pack(">I", zlib.crc32(self.data))
        header[_HEADER_SUM] = bytes(4)
        header[_HEADER_SUM] = struct.pack(">I", zlib.crc32(bytes(header)))
        return bytes(header) + self.data + self.rest


def parse(content: bytes) -> UBootImage | None:
    """The image in ``content``; None if it is not one, or a damaged one."""
    header = content[:_HEADER]
    if not header.startswith(_MAGIC) or len(header) < _HEADER:
        return None
    end = _HEADER + int.from_bytes(header[_SIZE], "big")
    found = UBootImage(header, content[_HEADER:end], content[end:])
    return found if found.packed() == content else None
