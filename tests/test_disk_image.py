"""What kind of image a file is, and which headers are refused."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from imagebuild.disk_image import recognise
from imagebuild.errors import UsageError


def made(path: Path, *options: str | Path) -> Path:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, path, "16M"], check=True)
    return path


def patched(path: Path, at: int, content: bytes) -> Path:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)
    return path


def test_formats(tmp_path: Path) -> None:
    raw = tmp_path / "disk.raw"
    raw.write_bytes(b"\0" * 4096)
    assert recognise(raw) == "raw"
    assert recognise(made(tmp_path / "disk.qcow2")) == "qcow2"
    assert recognise(made(tmp_path / "old.qcow2", "-o", "compat=0.10")) == "qcow2"
    assert recognise(made(tmp_path / "zstd.qcow2", "-o", "compression_type=zstd,extended_l2=on")) == "qcow2"


def test_a_format_that_is_given_is_not_guessed(tmp_path: Path) -> None:
    image = made(tmp_path / "disk.qcow2")
    assert recognise(image, "raw") == "raw"
    raw = tmp_path / "disk.raw"
    raw.write_bytes(b"\0" * 4096)
    with pytest.raises(UsageError, match="is no qcow2 image"):
        recognise(raw, "qcow2")


@pytest.mark.parametrize("kind", ["vmdk", "vhdx", "vdi", "qed", "vpc"])
def test_other_formats_are_named(tmp_path: Path, kind: str) -> None:
    image = tmp_path / f"disk.{kind}"
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, image, "16M"], check=True)
    with pytest.raises(UsageError, match=f"is a {kind} image") as caught:
        recognise(image)
    assert f"-f {kind}" in str(caught.value.hint)


def test_a_backing_file_is_refused(tmp_path: Path) -> None:
    base = made(tmp_path / "base.qcow2")
    overlay = tmp_path / "overlay.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, overlay], check=True)
    with pytest.raises(UsageError, match="backing file"):
        recognise(overlay)


def test_an_external_data_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keeps its data in another file"):
        recognise(made(tmp_path / "disk.qcow2", "-o", f"data_file={tmp_path / 'data.raw'}"))


def test_snapshots_are_refused(tmp_path: Path) -> None:
    image = made(tmp_path / "disk.qcow2")
    subprocess.run(["qemu-img", "snapshot", "-c", "one", image], check=True)
    with pytest.raises(UsageError, match="1 internal snapshots"):
        recognise(image)


@pytest.mark.parametrize(
    ("at", "content", "said"),
    [
        (4, struct.pack(">I", 9), "version 9"),
        (72, struct.pack(">Q", 1), "not closed well"),
        (72, struct.pack(">Q", 2), "not closed well"),
        (72, struct.pack(">Q", 1 << 40), "not known here: 0x10000000000"),
        (32, struct.pack(">I", 2), "encrypted"),
    ],
)
def test_other_headers_that_are_refused(tmp_path: Path, at: int, content: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        recognise(patched(made(tmp_path / "disk.qcow2"), at, content))


@pytest.mark.parametrize("length", [0, 4, 40, 80])
def test_short_files(tmp_path: Path, length: int) -> None:
    image = made(tmp_path / "disk.qcow2")
    short = tmp_path / "short.qcow2"
    short.write_bytes(image.read_bytes()[:length])
    with pytest.raises(UsageError):
        recognise(short)
