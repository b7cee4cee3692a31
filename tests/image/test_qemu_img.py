"""The real qemu-img: converted disks are unchanged."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from imagebuild.errors import CommandFailed
from imagebuild.files import allocated
from imagebuild.image import qemu_img

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


def test_conversion_produces_the_same_disk(disk: Path, tmp_path: Path) -> None:
    image = tmp_path / "image.vhdx"
    qemu_img.convert(disk, image, "vhdx")
    qemu_img.check(image, "vhdx")
    compare = ["qemu-img", "compare", "-f", "raw", "-F", "vhdx", disk, image]
    subprocess.run(compare, check=True, capture_output=True)


def test_conversion_reports_its_progress(disk: Path, tmp_path: Path) -> None:
    fractions: list[float | None] = []

    class Told:
        def update(self, detail: str = "", fraction: float | None = None, waiting: str = "") -> None:
            fractions.append(fraction)

        def summary(self, text: str) -> None: ...

    qemu_img.convert(disk, tmp_path / "image.vhdx", "vhdx", progress=Told())
    assert fractions[-1] == 1.0


def test_a_copy_stays_sparse(disk: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.raw"
    qemu_img.copy_file(disk, copy)
    assert copy.read_bytes() == disk.read_bytes()
    assert allocated(copy) < 8 * MIB


def test_a_damaged_image_is_detected(disk: Path, tmp_path: Path) -> None:
    image = tmp_path / "image.qcow2"
    qemu_img.convert(disk, image, "qcow2")
    os.truncate(image, image.stat().st_size - 100 * 1024)
    with pytest.raises(CommandFailed):
        qemu_img.check(image, "qcow2")
