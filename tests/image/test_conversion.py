"""Converted images contain the disk, as QEMU reads them, and always the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.files import allocated
from imagebuild.image.conversion import convert
from imagebuild.image.formats import CHUNK, CLUSTER, Compression, FinishedImage, Format

MIB = 1 << 20
OURS: tuple[Format, ...] = ("qcow2", "raw", "raw.zst", "vmdk")
TEXT = b"text that compresses well\n"


def written(path: Path, size: int, *parts: tuple[int, bytes]) -> Path:
    """A sparse raw disk with these parts at these offsets."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in parts:
            file.seek(offset)
            file.write(data)
    return path


def noise(length: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(length)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return written(tmp_path / "disk.raw", 64 * MIB, (0, TEXT * 40000), (33 * MIB + 4096, noise(MIB)))


def targets(folder: Path, *formats: Format) -> dict[Format, Path]:
    folder.mkdir(exist_ok=True)
    return {name: folder / f"disk.{name}" for name in formats}


def verify(disk: Path, image: FinishedImage) -> None:
    """Check that QEMU, or zstd, reads the disk from the image, and that the image is as described."""
    content = image.path.read_bytes()
    assert (image.size, image.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    if image.format == "raw.zst":
        plain = subprocess.run(["zstd", "-dc", image.path], check=True, capture_output=True).stdout
        assert plain == disk.read_bytes()
    else:
        compare: list[str | Path] = ["qemu-img", "compare", "-f", "raw", "-F", image.format, disk, image.path]
        subprocess.run(compare, check=True, capture_output=True)


def info(image: FinishedImage) -> dict[str, Any]:
    argv: list[str | Path] = ["qemu-img", "info", "-f", image.format, "--output=json", image.path]
    found: dict[str, Any] = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    return found


@pytest.mark.seconds
def test_all_formats_are_written_in_one_pass(disk: Path, tmp_path: Path) -> None:
    made = convert(disk, targets(tmp_path / "out", *OURS, "vhdx"))
    assert {name: image.compression for name, image in made.items()} == {
        "qcow2": "zstd", "raw": "none", "raw.zst": "zstd", "vmdk": "zlib", "vhdx": "none",
    }  # fmt: skip
    for image in made.values():
        verify(disk, image)
    assert made["qcow2"].size < 2 * MIB
    assert allocated(made["raw"].path) < 4 * MIB


def test_a_new_image_is_accessible_to_its_owner_only(disk: Path, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    before = os.umask(0)
    try:
        made = convert(disk, targets(tmp_path / "made", "qcow2", "raw", "raw.zst", "vmdk", "vhdx"))
    finally:
        os.umask(before)
    assert {image.path.stat().st_mode & 0o777 for image in made.values()} == {0o600}


@pytest.mark.parametrize("compression", ["zstd", "zlib"])
def test_the_header_names_the_compression(disk: Path, tmp_path: Path, compression: Compression) -> None:
    made = convert(disk, targets(tmp_path / "out", "qcow2", "vmdk"), compression=compression)
    verify(disk, made["qcow2"])
    qcow2, vmdk = info(made["qcow2"]), info(made["vmdk"])
    assert qcow2["virtual-size"] == vmdk["virtual-size"] == 64 * MIB
    assert qcow2["format-specific"]["data"]["compression-type"] == compression
    assert qcow2["format-specific"]["data"]["compat"] == "1.1"
    assert vmdk["format-specific"]["data"]["create-type"] == "streamOptimized"


@pytest.mark.seconds
@pytest.mark.parametrize("compression", ["zstd", "zlib"])
def test_the_bytes_do_not_depend_on_the_number_of_threads(disk: Path, tmp_path: Path, compression: Compression) -> None:
    digests = {
        tuple(image.sha256 for image in convert(disk, made, compression=compression, threads=threads).values())
        for threads in (1, 2, 2, 7)
        for made in [targets(tmp_path / f"{random.random()}", *OURS)]
    }
    assert len(digests) == 1


CONTENT = st.one_of(
    st.just(TEXT),
    st.just(b"\0"),
    st.just(b"\xff"),
    st.integers(0, 5).map(lambda seed: noise(CLUSTER, seed)),
    st.integers(0, 5).map(lambda seed: noise(CLUSTER - 40, seed) + bytes(40)),  # about as long when it is compressed
)


@st.composite
def disks(draw: st.DrawFn) -> tuple[int, list[tuple[int, bytes]]]:
    """A size, and what is written where: anything from nothing to some MiB, often at the edges of
    clusters and chunks.
    """
    size = 512 * draw(
        st.one_of(st.integers(1, 300), st.integers(1, 40000), st.sampled_from([CHUNK // 512, CHUNK // 256]))
    )
    parts = []
    for _ in range(draw(st.integers(0, 6))):
        offset = draw(st.integers(0, size - 1))
        offset -= offset % draw(st.sampled_from([1, 512, CLUSTER, CHUNK]))
        content = draw(CONTENT)
        length = min(draw(st.sampled_from([1, 4096, CLUSTER, 5 * CLUSTER, 70 * CLUSTER])), size - offset)
        parts.append((offset, (content * (length // len(content) + 1))[:length]))
    return size, parts


@pytest.mark.seconds
@settings(max_examples=40, deadline=None)
@given(disks(), st.sampled_from(["zstd", "zlib"]))
def test_any_disk_survives_the_conversion(made: tuple[int, list[tuple[int, bytes]]], compression: Compression) -> None:
    with TemporaryDirectory() as name:
        size, parts = made
        disk = written(Path(name) / "disk.raw", size, *parts)
        for image in convert(disk, targets(Path(name) / "out", *OURS), compression=compression).values():
            verify(disk, image)


def test_a_size_that_is_not_a_multiple_of_sectors_is_rounded_up(tmp_path: Path) -> None:
    disk = written(tmp_path / "disk.raw", CLUSTER + 1, (CLUSTER, b"x"))
    made = convert(disk, targets(tmp_path / "out", *OURS))
    assert info(made["qcow2"])["virtual-size"] == CLUSTER + 512
    assert made["raw"].size == CLUSTER + 1
    for image in made.values():
        verify(disk, image)


@pytest.mark.seconds
def test_a_large_disk_with_little_data(tmp_path: Path) -> None:
    size = 64 << 30
    disk = written(tmp_path / "disk.raw", size, (0, TEXT), (size // 2, noise(70 * CLUSTER)), (size - 3, b"end"))
    for name, image in convert(disk, targets(tmp_path / "out", "qcow2", "vmdk")).items():
        verify(disk, image)
        assert image.size < 10 * MIB, name


@pytest.mark.seconds
def test_incompressible_data_takes_hardly_more_space(tmp_path: Path) -> None:
    disk = written(tmp_path / "disk.raw", 32 * MIB, (0, noise(32 * MIB)))
    made = convert(disk, targets(tmp_path / "out", *OURS))
    for image in made.values():
        verify(disk, image)
        assert image.size < 32.5 * MIB


@pytest.mark.slow
def test_an_image_with_several_refcount_blocks(tmp_path: Path) -> None:
    disk = written(tmp_path / "disk.raw", 3 << 30, *((at * MIB, noise(MIB, at)) for at in range(2200)))
    image = convert(disk, targets(tmp_path / "out", "qcow2"))["qcow2"]
    assert image.size > CLUSTER * CLUSTER // 2
    subprocess.run(
        ["qemu-img", "compare", "-f", "raw", "-F", "qcow2", disk, image.path], check=True, capture_output=True
    )


# Errors.


@pytest.fixture
def small_file_system(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "imagebuild-test", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("name", OURS)
def test_a_full_file_system_is_reported_and_left_clean(disk: Path, small_file_system: Path, name: Format) -> None:
    with pytest.raises(HostError, match=f"no space left \\({small_file_system}\\)"):
        convert(disk, targets(small_file_system, name))
    assert list(small_file_system.iterdir()) == []


@pytest.mark.seconds
def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    class Interrupted:
        def update(self, detail: str = "", fraction: float | None = None, waiting: str = "") -> None:
            raise KeyboardInterrupt

        def summary(self, text: str) -> None: ...

    disk = written(tmp_path / "disk.raw", 64 * MIB, (0, noise(64 * MIB)))
    with pytest.raises(KeyboardInterrupt):
        convert(disk, targets(tmp_path / "out", *OURS, "vhdx"), progress=Interrupted())
    assert list((tmp_path / "out").iterdir()) == []


def test_an_existing_file_is_kept(disk: Path, tmp_path: Path) -> None:
    wanted = targets(tmp_path / "out", "qcow2", "raw")
    wanted["raw"].write_text("somebody's")
    with pytest.raises(ImageBuildError, match="already exists"):
        convert(disk, wanted)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["disk.raw"]
    assert wanted["raw"].read_text() == "somebody's"


def test_a_missing_disk(tmp_path: Path) -> None:
    with pytest.raises(ImageBuildError, match="No such file"):
        convert(tmp_path / "disk.raw", targets(tmp_path / "out", "qcow2"))


def test_a_disk_that_shrinks_is_detected(disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, parts, at: real(file, parts, at) - 512)
    with pytest.raises(ImageBuildError, match="shrank while it was being converted"):
        convert(disk, targets(tmp_path / "out", "qcow2"))
    assert list((tmp_path / "out").iterdir()) == []


def test_progress_goes_from_zero_to_one(disk: Path, tmp_path: Path) -> None:
    fractions: list[float | None] = []

    class Told:
        def update(self, detail: str = "", fraction: float | None = None, waiting: str = "") -> None:
            fractions.append(fraction)

        def summary(self, text: str) -> None: ...

    convert(disk, targets(tmp_path / "out", "qcow2"), progress=Told())
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert fractions == sorted(fractions, key=lambda fraction: fraction or 0.0)
