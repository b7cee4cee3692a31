"""Disks in layers: what a guest sees of them, and that no file outside of their folder is ever opened."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from imagebuild.errors import HostError
from imagebuild.image import layers
from imagebuild.image.conversion import convert
from imagebuild.image.formats import CHUNK
from imagebuild.image.layers import Layers

MIB = 1 << 20
SIZE = 12 * MIB
NAME = "disk.raw"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with a raw disk that has data at both ends of a chunk, and a hole."""
    folder = tmp_path / "installed"
    folder.mkdir()
    with (folder / NAME).open("wb") as file:
        file.truncate(SIZE)
        file.write(b"a" * 8192)
        file.seek(CHUNK - 4096)
        file.write(b"b" * 8192)
        file.seek(SIZE - 4096)
        file.write(b"c" * 4096)
    return folder


def io(disk: Layers, *commands: str) -> None:
    words = [word for command in commands for word in ("-c", command)]
    subprocess.run(["qemu-io", "-f", disk.format, *words, disk.top], check=True, capture_output=True)


def over(source: Path, name: str) -> tuple[Path, Layers]:
    """A new folder with the disk of ``source`` to be changed."""
    folder = source.with_name(name)
    folder.mkdir()
    (disk,) = layers.on_top(source, folder, [NAME])
    return folder, disk


def seen(disk: Layers) -> bytes:
    """What a guest sees, as QEMU says."""
    flat = disk.top.with_suffix(".flat")
    argv = ["qemu-img", "convert", "-f", disk.format, "-O", "raw", disk.top, flat]
    subprocess.run(argv, check=True, capture_output=True)
    content = flat.read_bytes()
    flat.unlink()
    return content


def as_read(disk: Layers) -> bytes:
    content = bytearray(disk.size)
    with layers.opened(disk) as reader:
        for at, read in reader.chunks():
            data = read()
            content[at : at + len(data)] = data
        assert reader.read(0, reader.size + 5) == bytes(content)
        assert reader.read(CHUNK - 3, 4099) == bytes(content[CHUNK - 3 : CHUNK + 4096])
        assert reader.read(reader.size, 1) == b""
    return bytes(content)


def test_two_layers_of_changes(installed: Path) -> None:
    before = (installed / NAME).read_bytes()
    first, disk = over(installed, "first")
    io(disk, "write -P 1 4096 4096", f"write -z -u {CHUNK - 4096} 4096", "write -P 2 5M 1M", "write -P 3 100 20")
    second, top = over(first, "second")
    io(top, "write -P 4 5M 4096", "discard 6144k 4096", "write -P 5 11M 512")
    assert [path.name for path in top.files] == [NAME, "disk.1.qcow2", "disk.2.qcow2"]
    for one in (disk, top):
        assert as_read(one) == seen(one)
    assert as_read(top)[:8192] == b"a" * 100 + b"\3" * 20 + b"a" * (4096 - 120) + b"\1" * 4096
    assert as_read(top)[CHUNK - 4096 : CHUNK + 4096] == bytes(4096) + b"b" * 4096
    assert (installed / NAME).read_bytes() == before
    assert (installed / NAME).samefile(second / NAME)
    assert disk.top.samefile(second / disk.top.name)
    assert layers.found(second, NAME) == layers.below(top.top, "qcow2") == top
    assert layers.found(first, NAME) == disk


def test_a_folder_needs_no_other_one(installed: Path) -> None:
    first, disk = over(installed, "first")
    io(disk, "write -P 1 0 4096")
    content = seen(disk)
    (installed / NAME).unlink()
    moved = first.rename(first.with_name("elsewhere"))
    assert seen(layers.found(moved, NAME)) == content


def test_small_discards_take_effect(installed: Path) -> None:
    _, disk = over(installed, "first")
    io(disk, "write -P 1 0 16k", "discard 4k 4k")
    assert as_read(disk)[:16384] == b"\1" * 4096 + bytes(4096) + b"\1" * 8192
    assert layers.cluster_size(disk.top) == layers.CLUSTER


def test_an_image_of_layers_is_that_of_the_whole_disk(installed: Path, tmp_path: Path) -> None:
    _, disk = over(installed, "first")
    io(disk, "write -P 1 3M 2M", f"write -z -u {CHUNK} 4096")
    flat = tmp_path / "flat.raw"
    flat.write_bytes(seen(disk))
    images = []
    for number, source in enumerate((disk, flat)):
        made = convert(source, {name: tmp_path / f"{number}.{name}" for name in ("qcow2", "raw.zst")})  # type: ignore[misc]
        images.append([one.sha256 for one in made.values()])
    assert images[0] == images[1]
    vhdx = convert(disk, {"vhdx": tmp_path / "disk.vhdx"})["vhdx"].path
    same = ["qemu-img", "compare", "-f", "raw", "-F", "vhdx", flat, vhdx]
    subprocess.run(same, check=True, capture_output=True)


@pytest.mark.parametrize("why", ["no links", "large"])
def test_a_disk_is_copied_where_it_cannot_be_linked(installed: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    first, disk = over(installed, "first")
    io(disk, "write -P 1 4096 4096")
    content = seen(disk)
    if why == "large":
        monkeypatch.setattr(layers, "LARGEST", SIZE - 1)
    else:
        monkeypatch.setattr(Path, "hardlink_to", lambda *_: (_ for _ in ()).throw(PermissionError(1, "not here")))
    folder, copy = over(first, "copy")
    assert (copy.format, [path.name for path in folder.iterdir()]) == ("raw", [NAME])
    assert copy.top.read_bytes() == content
    assert copy.top.stat().st_mode & 0o777 == 0o600
    again = layers.on_top(first, folder, [NAME])  # a second attempt
    assert again == [copy]


def test_a_second_attempt_begins_with_nothing(installed: Path) -> None:
    folder, disk = over(installed, "first")
    before = seen(disk)
    io(disk, "write -P 1 0 4096")
    (again,) = layers.on_top(installed, folder, [NAME])
    assert again == disk
    assert seen(again) == before


@pytest.mark.parametrize(
    "named",
    [("/etc/shadow", "raw"), ("../installed/disk.raw", "raw"), ("disk.raw", "qcow2"), ("other.raw", "raw"), None],
)
def test_an_overlay_on_anything_else_is_not_opened(installed: Path, named: tuple[str, str] | None) -> None:
    folder, disk = over(installed, "first")
    disk.top.unlink()
    argv = ["qemu-img", "create", "-q", "-f", "qcow2"]
    argv += ["-u", "-b", named[0], "-F", named[1]] if named else []
    subprocess.run([*argv, disk.top, str(SIZE)], check=True, capture_output=True)
    with pytest.raises(HostError, match=r"is not an overlay on disk\.raw"):
        layers.found(folder, NAME)
    with pytest.raises(HostError, match=r"is not an overlay on disk\.raw"):
        layers.below(disk.top, "qcow2")


@pytest.mark.parametrize("content", [b"", b"QFI\xfb", b"QFI\xfb\0\0\0\3" + b"\xff" * 200, bytes(5000)])
def test_a_damaged_overlay_is_refused(installed: Path, content: bytes) -> None:
    folder, disk = over(installed, "first")
    disk.top.write_bytes(content)
    with pytest.raises(HostError, match=r"is not an overlay on disk\.raw"):
        layers.found(folder, NAME)


def test_other_images_have_no_layers(tmp_path: Path) -> None:
    for name in ("web.qcow2", "web-1.2.qcow2"):
        assert layers.below(tmp_path / name, "qcow2") is None
    assert layers.below(tmp_path / "web.img", "raw") == Layers((tmp_path / "web.img",))
