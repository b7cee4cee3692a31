"""What FAT stores about removed files is cleared, and nothing else: on file systems created by
mkfs.vfat and mtools."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.guest.unused.fat import DamagedError, Unused, unused

MIB = 1 << 20
KINDS = {
    "fat12": (2, ["-F", "12"]),
    "fat16": (20, ["-F", "16", "-s", "4"]),
    "fat32": (34, ["-F", "32", "-s", "1"]),
    "4096": (34, ["-F", "16", "-s", "1", "-S", "4096"]),
}
MARKERS = (b"GONE", "GONE".encode("utf-16-le"), "gone".encode("utf-16-le"))
pytestmark = pytest.mark.skipif(
    not shutil.which("mkfs.vfat") or not shutil.which("mcopy"), reason="needs dosfstools and mtools"
)


def run(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def made(image: Path, kind: str) -> None:
    """A file system on a disk that was full of other data, from which files were removed."""
    size, options = KINDS[kind]
    image.write_bytes(b"GONE-before " * (size * MIB // 12) + bytes(size * MIB % 12))
    run("mkfs.vfat", *options, image)
    kept = image.with_name("kept")
    run("mmd", "-i", image, "::EFI", "::EFI/debian", "::loader")
    for number in range(60):
        kept.write_text(f"stays {number}\n" * (number + 1) * 7)
        run("mcopy", "-i", image, kept, f"::EFI/debian/stays as it is {number}.conf")
        if number % 4 == 0:
            run("mcopy", "-i", image, kept, f"::loader/gone-0123456789abcdef-{number}.conf")
    run("mdel", "-i", image, "::loader/gone-*")


def copied(image: Path, name: str) -> dict[str, bytes]:
    """The files in the file system."""
    folder = image.with_name(name)
    folder.mkdir()
    run("mcopy", "-s", "-n", "-i", image, "::EFI", folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_by(image: Path, content: bytearray | None = None) -> Unused:
    data = bytes(content) if content is not None else image.read_bytes()
    return unused(lambda at, size: data[at : at + size], len(data))


def wiped(image: Path) -> None:
    data = bytearray(image.read_bytes())
    found = read_by(image)
    for at, new in found.sectors:
        assert len(new) == 512
        assert at % 512 == 0
        data[at : at + 512] = new
    for at, length in found.free:
        assert at % 512 == length % 512 == 0
        data[at : at + length] = bytes(length)
    image.write_bytes(data)


@pytest.mark.seconds
@pytest.mark.parametrize("kind", KINDS)
def test_names_of_removed_files_ends_of_clusters_and_free_clusters(tmp_path: Path, kind: str) -> None:
    image = tmp_path / "disk"
    made(image, kind)
    assert all(marker in image.read_bytes() for marker in MARKERS[::2])
    before = copied(image, "before")
    listed = run("mdir", "-/", "-a", "-b", "-i", image, "::")
    wiped(image)
    content = image.read_bytes()
    last = max(at + length for at, length in read_by(image).free)
    assert not [marker for marker in MARKERS if marker in content[:last]]
    assert copied(image, "after") == before
    assert run("mdir", "-/", "-a", "-b", "-i", image, "::") == listed
    run("fsck.vfat", "-n", image)
    assert read_by(image).sectors == []


@pytest.mark.seconds
def test_damage_is_reported(tmp_path: Path) -> None:
    image = tmp_path / "disk"
    made(image, "fat16")
    content = bytearray(image.read_bytes())
    content[512 * 4 + 6 : 512 * 4 + 40] = b"\x03\x00" * 17  # clusters that refer to each other
    with pytest.raises(DamagedError):
        read_by(image, content)
    with pytest.raises(DamagedError):
        read_by(image, bytearray(4096))


@given(st.binary(max_size=40), st.integers(0, 600))
def test_whatever_the_header_says(junk: bytes, at: int) -> None:
    head = bytearray(
        b"\xeb\x3c\x90mkfs.fat\x00\x02\x04\x04\x00\x02\x00\x02\x00\x50\xf8\x14\x00"
        + bytes(484)
        + b"\x55\xaa"
        + bytes(MIB // 4)
    )
    head[at : at + len(junk)] = junk
    with suppress(DamagedError):
        unused(lambda start, size: bytes(head[start : start + size]), len(head))
