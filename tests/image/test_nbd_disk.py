"""A disk is read from its image through qemu-nbd, with its content and without its holes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from imagebuild.errors import CommandFailed, HostError
from imagebuild.image import nbd_disk
from imagebuild.image.disk_image import Format
from imagebuild.image.formats import CHUNK

MIB = 1 << 20


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A disk that ends in the middle of a chunk, with data at its ends and in the middle."""
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        file.truncate(50 * MIB + 1536)
        for offset in (0, 20 * MIB - 300, 50 * MIB):
            file.seek(offset)
            file.write(random.Random(offset).randbytes(1536))
    return path


def image(raw: Path, image_format: str) -> Path:
    if image_format == "raw":
        return raw
    made = raw.with_suffix(f".{image_format}")
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", image_format, "-c", raw, made], check=True, timeout=60)
    return made


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_the_disk_is_read_without_its_holes(raw: Path, image_format: Format) -> None:
    content = bytearray(50 * MIB + 1536)
    offsets = []
    with nbd_disk.opened(image(raw, image_format), image_format) as disk:
        assert disk.size == len(content)
        assert 3 * 1536 <= disk.data_size() <= 6 * 65536
        for offset, data in disk.chunks():
            content[offset : offset + len(data)] = data
            offsets.append(offset)
    assert content == raw.read_bytes()
    assert offsets == [0, 4 * CHUNK, 5 * CHUNK, 12 * CHUNK]


def test_the_end_of_an_odd_disk_is_filled_with_zeros(tmp_path: Path) -> None:
    path = tmp_path / "odd"
    path.write_bytes(b"x" * 700)
    with nbd_disk.opened(path, "raw") as disk:
        assert list(disk.chunks()) == [(0, b"x" * 700 + bytes(1024 - 700))]


def test_a_name_is_never_taken_for_an_address(tmp_path: Path) -> None:
    path = tmp_path / "nbd:127.0.0.1:1,x=y"
    path.write_bytes(b"x" * 512)
    with nbd_disk.opened(path, "raw") as disk:
        assert list(disk.chunks()) == [(0, b"x" * 512)]


def test_reading_does_not_take_more_and_more_memory(tmp_path: Path) -> None:
    path = tmp_path / "disk.raw"
    path.write_bytes(random.Random(1).randbytes(1 << 20) * 160)
    with nbd_disk.opened(path, "raw") as disk:
        before = resident()
        assert sum(len(data) for _, data in disk.chunks()) == 160 * MIB
        assert resident() - before < 80 * MIB


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_the_reason_of_qemu_is_reported(tmp_path: Path) -> None:
    (tmp_path / "not-qcow2").write_bytes(bytes(4096))
    with pytest.raises(CommandFailed, match="not in qcow2 format"), nbd_disk.opened(tmp_path / "not-qcow2", "qcow2"):
        pass


def test_a_damaged_image_is_reported(raw: Path) -> None:
    made = image(raw, "qcow2")
    data = made.read_bytes()
    at = data.index(b"QFI\xfb") + 5 * 65536  # compressed clusters follow header and first tables
    made.write_bytes(data[:at] + b"\xff" * (len(data) - at))
    with (
        pytest.raises(CommandFailed, match="the image could not be read"),
        nbd_disk.opened(made, "qcow2") as disk,
    ):
        list(disk.chunks())


def test_a_server_that_dies_is_reported(raw: Path) -> None:
    with nbd_disk.opened(raw, "raw") as disk:
        disk._server.kill()
        disk._server.wait()
        with pytest.raises(CommandFailed, match="the image could not be read"):
            list(disk.chunks())


@pytest.mark.seconds
def test_a_server_that_hangs_is_given_up(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nbd_disk, "_SILENCE", 1.0)
    with nbd_disk.opened(raw, "raw") as disk:
        os.kill(disk._server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(HostError, match="no answer"):
                list(disk.chunks())
        finally:
            os.kill(disk._server.pid, signal.SIGCONT)


def test_a_missing_binding_is_reported(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nbd", None)
    with pytest.raises(HostError, match="libnbd"), nbd_disk.opened(raw, "raw"):
        pass


def test_no_server_is_left(raw: Path) -> None:
    with nbd_disk.opened(raw, "raw") as disk:
        server = disk._server
        folder = Path(server.args[server.args.index("--socket") + 1]).parent  # type: ignore[attr-defined, index]
        assert folder.is_dir()
    assert server.poll() is not None
    assert not folder.exists()
