"""Gzip files that several threads write: one member, whose bytes depend on the content only."""

from __future__ import annotations

import gzip
import io
import random
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.exports import gzip_stream
from imagebuild.exports.gzip_stream import GzipStream
from imagebuild.image.formats import CHUNK


def packed(*parts: bytes | int, threads: int = 2) -> bytes:
    """A file of bytes, and of so many zeros."""
    target = io.BytesIO()
    with GzipStream(target, threads=threads) as stream:
        for part in parts:
            if isinstance(part, int):
                stream.write_zeros(part)
            else:
                stream.write(part)
        length = sum(part if isinstance(part, int) else len(part) for part in parts)
        assert stream.tell() == length
        stream.finish()
    return target.getvalue()


PARTS = st.lists(
    st.one_of(st.integers(0, 3 * CHUNK), st.integers(1, CHUNK + 9).map(lambda n: random.Random(n).randbytes(n))),
    max_size=4,
)


@pytest.mark.seconds
@given(parts=PARTS)
def test_it_contains_what_was_written(parts: list[bytes | int]) -> None:
    content = b"".join(bytes(part) if isinstance(part, int) else part for part in parts)
    reader = zlib.decompressobj(31)
    assert reader.decompress(packed(*parts)) == content
    assert reader.eof
    assert not reader.unused_data, "only one member"


def test_the_bytes_do_not_depend_on_how_they_were_written() -> None:
    noise = random.Random(1).randbytes(CHUNK + 1000)
    whole = packed(noise + bytes(2 * CHUNK), threads=1)
    assert whole == packed(noise[:10], noise[10:], CHUNK, bytes(CHUNK), threads=5)


def test_zeros_are_small() -> None:
    assert len(packed(64 * CHUNK)) < 64 * CHUNK // 900


def test_gzip_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(packed(b"text", 5 * CHUNK, b"end"))
    subprocess.run(["gzip", "-t", path], check=True, timeout=60)
    assert gzip.decompress(path.read_bytes()) == b"text" + bytes(5 * CHUNK) + b"end"


def test_an_error_in_the_target_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gzip_stream, "_AHEAD", 1)
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space"):
        GzipStream(full)
