"""A screenshot as PNG (ISO/IEC 15948), from libvirt's portable pixmap (ppm(5)) or PNG. Pure."""

from __future__ import annotations

import re
import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = re.compile(rb"P6\s+(\d{1,5})\s+(\d{1,5})\s+255\s")


def png(picture: bytes) -> bytes:
    """The picture as PNG. Raises ValueError for another format than PPM with one byte per colour, or PNG."""
    if picture.startswith(_SIGNATURE):
        return picture
    header = _HEADER.match(picture)
    if header is None:
        raise ValueError("the screenshot is neither PPM nor PNG")
    width, height = int(header[1]), int(header[2])
    pixels = memoryview(picture)[header.end() :]
    if not width or not height:
        raise ValueError("the screenshot has no pixels")
    if len(pixels) < width * height * 3:
        raise ValueError("the screenshot is incomplete")
    rows = (b"\0" + bytes(pixels[at : at + width * 3]) for at in range(0, width * height * 3, width * 3))
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", size) + _chunk(b"IDAT", zlib.compress(b"".join(rows))) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
