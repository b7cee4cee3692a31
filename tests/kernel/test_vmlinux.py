"""Extracting the kernel from the image that Debian ships."""

from __future__ import annotations

import gzip
import lzma
import struct
import subprocess
from pathlib import Path

import lz4.block
import pytest

from imagebuild.kernel import vmlinux

XEN, PVH = b"Xen\0", 18


def _note(name: bytes, number: int, data: bytes) -> bytes:
    padded = data + b"\0" * (-len(data) % 4)
    return struct.pack("<III", len(name), len(data), number) + name + b"\0" * (-len(name) % 4) + padded


def _elf(*notes: bytes) -> bytes:
    """A 64-bit ELF of one header, one note segment."""
    segment = b"".join(notes)
    header = (
        b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    )
    return header + struct.pack("<IIQQQQQQ", 4, 4, 120, 0, 0, len(segment), len(segment), 4) + segment


def _bzimage(payload: bytes, *, version: int = 0x20F) -> bytes:
    """A boot sector, one setup sector, and the payload with the length that the kernel's build
    appends.
    """
    image = bytearray(1024)
    image[0x1F1] = 1
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x206, version)
    struct.pack_into("<II", image, 0x248, 16, len(payload) + 4)
    return bytes(image) + bytes(16) + payload + b"\0\0\0\1" + b"more code"


def _zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "--stdout"], input=data, capture_output=True, check=True).stdout


BOOTABLE = _elf(_note(b"Linux\0", 0x101, b"6.12\0"), _note(XEN, PVH, bytes(4))) + bytes(9 << 20)


def _lz4(data: bytes) -> bytes:
    """The legacy frame, as the kernel's build writes it."""
    blocks = [lz4.block.compress(data[at : at + (8 << 20)], store_size=False) for at in range(0, len(data), 8 << 20)]
    return b"\x02\x21\x4c\x18" + b"".join(len(block).to_bytes(4, "little") + block for block in blocks)


@pytest.mark.parametrize("compress", [_zstd, lzma.compress, gzip.compress, _lz4], ids=["zstd", "xz", "gzip", "lz4"])
def test_a_kernel_that_qemu_can_start_is_extracted(tmp_path: Path, compress: object) -> None:
    assert callable(compress)
    (tmp_path / "bzImage").write_bytes(_bzimage(compress(BOOTABLE)))
    assert vmlinux.extract(tmp_path / "bzImage", tmp_path / "vmlinuz")
    assert (tmp_path / "vmlinuz").read_bytes() == BOOTABLE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bzImage", "vmlinuz"]


@pytest.mark.parametrize(
    "image",
    [
        b"",
        b"\x7fELF" + bytes(2000),
        _bzimage(b"BZh9" + bytes(100)),
        *(
            _bzimage(magic + bytes(100))
            for magic in (b"\x1f\x8b", b"\x02\x21\x4c\x18", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ")
        ),
        _bzimage(_zstd(BOOTABLE), version=0x207),
        _bzimage(_zstd(_elf(_note(XEN, 6, b"linux\0")))),
        _bzimage(_zstd(b"not a kernel")),
    ],
    ids=[
        "empty",
        "not a bzImage",
        "unknown compression",
        "gzip",
        "lz4",
        "zstd",
        "xz",
        "old boot protocol",
        "no PVH entry",
        "no ELF",
    ],
)
def test_an_image_without_such_a_kernel_is_left_alone(tmp_path: Path, image: bytes) -> None:
    (tmp_path / "bzImage").write_bytes(image)
    assert not vmlinux.extract(tmp_path / "bzImage", tmp_path / "vmlinuz")
    assert [path.name for path in tmp_path.iterdir()] == ["bzImage"]
