"""qemu-img, the real one: what comes out is what went in, and always the same bytes."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from imagebuild import qemu_img
from imagebuild.errors import CommandFailed
from imagebuild.files import allocated

MIB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A sparse raw disk of 64 MiB with some data that compresses and some that does not."""
    path = tmp_path / "disk.raw"
    qemu_img.create_raw(path, 64 * MIB)
    with path.open("r+b") as file:
        file.write(b"text that compresses well\n" * 40000)
        file.seek(33 * MIB + 4096)
        file.write(random.Random(1).randbytes(MIB))
    return path


@pytest.mark.parametrize("compression", ["zstd", "zlib"])
def test_conversion_gives_the_same_bytes_every_time(
    disk: Path, tmp_path: Path, compression: qemu_img.Compression
) -> None:
    first, second = tmp_path / "first.qcow2", tmp_path / "second.qcow2"
    for image in (first, second):
        qemu_img.convert(disk, image, compression=compression)
    assert first.read_bytes() == second.read_bytes()
    qemu_img.check(first)
    compare = ["qemu-img", "compare", "-f", "raw", "-F", "qcow2", disk, first]
    subprocess.run(compare, check=True, capture_output=True)
    assert qemu_img.virtual_size(first, "qcow2") == 64 * MIB
    assert first.stat().st_size < 2 * MIB


def test_conversion_tells_its_progress(disk: Path, tmp_path: Path) -> None:
    told: list[float | None] = []

    class Told:
        def update(self, detail: str = "", fraction: float | None = None) -> None:
            told.append(fraction)

        def summary(self, text: str) -> None: ...

    qemu_img.convert(disk, tmp_path / "image.qcow2", compression="zstd", progress=Told())
    assert told[-1] == 1.0


def test_a_copy_stays_sparse(disk: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.raw"
    qemu_img.copy_file(disk, copy)
    assert copy.read_bytes() == disk.read_bytes()
    assert allocated(copy) < 8 * MIB


def test_a_damaged_image_is_noticed(disk: Path, tmp_path: Path) -> None:
    image = tmp_path / "image.qcow2"
    qemu_img.convert(disk, image, compression="zstd")
    os.truncate(image, image.stat().st_size - 100 * 1024)
    with pytest.raises(CommandFailed):
        qemu_img.check(image)
