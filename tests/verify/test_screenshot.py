"""Screenshots as PNG."""

from __future__ import annotations

import random
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.verify.screenshot import png


def decoded(data: bytes) -> tuple[int, int, bytes]:
    """Width, height and pixels of a PNG file with unfiltered rows; every checksum is verified."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, []
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        content = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length]) == (zlib.crc32(kind + content),)
        chunks.append((kind, content))
        at += 12 + length
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour, *methods = struct.unpack(">IIBBBBB", chunks[0][1])
    assert (depth, colour, methods) == (8, 2, [0, 0, 0])
    rows = zlib.decompress(chunks[1][1])
    stride = 1 + 3 * width
    assert len(rows) == height * stride
    assert all(rows[row * stride] == 0 for row in range(height))
    return width, height, b"".join(rows[row * stride + 1 : (row + 1) * stride] for row in range(height))


@given(st.integers(1, 40), st.integers(1, 40), st.randoms(use_true_random=False))
def test_the_pixels_stay_the_same(width: int, height: int, chance: random.Random) -> None:
    pixels = chance.randbytes(width * height * 3)
    assert decoded(png(b"P6\n%d %d\n255\n" % (width, height) + pixels)) == (width, height, pixels)


def test_what_follows_the_picture_is_left_out() -> None:
    assert decoded(png(b"P6 1 1 255\n\x01\x02\x03more")) == (1, 1, b"\x01\x02\x03")


def test_png_is_passed_on() -> None:
    already = png(b"P6 1 1 255\nabc")
    assert png(already) is already


@pytest.mark.parametrize(
    "picture",
    [
        b"",
        b"P6",
        b"P5 1 1 255\nabc",
        b"P6 1 1 65535\nabcdef",
        b"P6 2 2 255\nabc",
        b"P6 99999 99999 255\nabc",
        b"P6 999999 1 255\nabc",
        b"P6 0 1 255\nabc",
        b"P6 1 0 255\nabc",
        b"P6 -1 1 255\nabc",
        b"\x89PNX\r\n\x1a\n",
    ],
)
def test_other_pictures_are_refused(picture: bytes) -> None:
    with pytest.raises(ValueError, match="the screenshot "):
        png(picture)
