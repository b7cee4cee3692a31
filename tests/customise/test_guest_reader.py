"""What this host reads of a guest's file system is what the appliance's programs print, byte by byte."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest

from imagebuild.customise.contents import guest_reader
from imagebuild.customise.contents.collect import collect
from imagebuild.customise.contents.dpkg_packages import LICENCE_LINES
from imagebuild.customise.contents.guest_reader import CONCATENATE, ApplianceReader, HostReader
from imagebuild.customise.contents.unowned import DIGEST
from imagebuild.guest import GuestDisk, launch
from imagebuild.guest.ext4.superblock import UnsupportedExt4Error
from imagebuild.guest.session import Session
from imagebuild.image import layers
from tests.guest.test_ext4 import folder, made, read

MIB = 1 << 20
DEVICES = b"\0".join([b"/sys/block/sda/device/scsi_disk/0:0:0:0", b'{"blockdevices": []}', b"", b""])
COPYRIGHT = b"""\
Format: 1.0
format-specification: x
 License: not at the beginning
LICENSE:  Expat or\tGPL-2
license
Files: *
License: last line without an end"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = folder(tmp_path_factory.mktemp("guest") / "root")
    (place / "etc" / "large").write_bytes(bytes(256 << 10))
    (place / "etc" / "larger").write_bytes(bytes((256 << 10) + 1))
    (place / "etc" / "deep").mkdir()
    (place / "etc" / "deep" / "a  b\nc").write_text("abc")
    (place / "copyright").write_bytes(COPYRIGHT)
    (place / "nul").write_bytes(b"License: a\0b\nFormat: c\n\n")
    return place


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    return made(tmp_path_factory.mktemp("guest") / "image", source, "-b", "4096")


class FolderOfHost:
    """A folder of this host, as if it were a guest that is mounted in an appliance."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def appliance_output(self, script: str, paths: tuple[str, ...] = ()) -> bytes:
        words = [f".{one}" for one in paths] or [str(self._place)]
        argv = ["sh", "-c", script, "sh", *words]
        return subprocess.run(argv, cwd=self._place, check=True, capture_output=True).stdout

    def read(self, path: str, limit: int) -> bytes:
        return (self._place / path[1:]).read_bytes()[:limit]


@pytest.mark.parametrize("all_digests", [False, True])
def test_files_and_digests(source: Path, image: Path, all_digests: bool) -> None:
    on_host = HostReader(read(image), DEVICES, all_digests=all_digests).survey
    in_appliance = ApplianceReader(FolderOfHost(source), all_digests=all_digests).survey  # type: ignore[arg-type]
    assert tuple(one for one in on_host.files if one.path != "/lost+found") == in_appliance.files
    digested = {one.path for one in on_host.files if one.sha256}
    if not all_digests:
        assert digested == {"/etc/passwd", "/etc/large", "/etc/deep/a  b\nc", "/etc/name"} - {"/etc/name"}
    assert on_host.blocks.keys() - in_appliance.blocks.keys() == {"/lost+found"}
    # the first name of a file with two is counted
    assert "/etc/name" in on_host.blocks
    assert "/program" not in on_host.blocks


def test_outputs(source: Path, image: Path) -> None:
    on_host = HostReader(read(image), DEVICES, all_digests=False)
    in_appliance = ApplianceReader(FolderOfHost(source), all_digests=False)  # type: ignore[arg-type]
    paths = ("/copyright", "/nul", "/etc/deep/a  b\nc", "/sparse", "/empty", os.fsdecode(b"/b\xfftes\n"))
    for script in (CONCATENATE, LICENCE_LINES, DIGEST):
        assert on_host.output(script, paths) == in_appliance.output(script, paths)
    for path in paths:
        for limit in (1, 5, MIB, 8 * MIB):
            assert on_host.read(path, limit) == in_appliance.read(path, limit)


def test_capabilities_that_depend_on_who_asks(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = struct.pack("<IIIII", 0x02000001, 0x2000, 0, 0, 0)
    monkeypatch.setattr(guest_reader.Ext4Tree, "attribute", lambda *_: value)
    found = HostReader(read(image), DEVICES, all_digests=False).survey.files
    assert {one.capabilities for one in found if one.kind == "f"} == {value.hex()}
    monkeypatch.setattr(
        guest_reader.Ext4Tree, "attribute", lambda *_: struct.pack("<IIIIII", 0x03000001, 1, 0, 0, 0, 7)
    )
    with pytest.raises(UnsupportedExt4Error):
        HostReader(read(image), DEVICES, all_digests=False)


def guest_disk(place: Path, source: Path, *options: str) -> Path:
    """A disk with one partition, with a guest on it."""
    for path, text in {
        "etc/fstab": "LABEL=root / ext4 defaults 0 1\n",
        "etc/os-release": "ID=debian\n",
        "var/lib/dpkg/status": "Package: a\nStatus: install ok installed\nVersion: 1\n",
        "var/lib/dpkg/info/a.list": "/etc/fstab\n",
        "usr/share/doc/a/copyright": COPYRIGHT.decode(),
    }.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text)
    disk = place / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(300 * MIB)
    subprocess.run(["sfdisk", "-q", disk], input="start=2048, size=409600, type=83\n", text=True, check=True)
    options = ("-L", "root", "-E", "offset=1048576", *options)
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-d", source, *options, disk, "200M"]
    subprocess.run(argv, check=True, capture_output=True)
    return disk


@pytest.mark.guestfs
@pytest.mark.parametrize("layered", [False, True])
def test_a_guest_is_listed_and_wiped_on_this_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layered: bool
) -> None:
    disk = guest_disk(tmp_path, folder(tmp_path / "root"), "-b", "1024" if layered else "4096")
    gap = 202 * MIB
    with disk.open("r+b") as file:
        file.seek(gap)
        file.write(b"SECRET-GAP")
    (tmp_path / "over").mkdir()
    opened = layers.on_top(tmp_path, tmp_path / "over", [disk.name])[0] if layered else layers.Layers((disk,))
    found = []
    with launch.opened(opened.top, opened.format, accel="tcg", tmpdir=tmp_path) as guest:
        for number in range(20):
            guest.write(f"/etc/secret{number}", b"SECRET-TEXT " * 500)
            guest.symlink("/SECRET-LINK", f"/etc/link{number}")
        guest.write("/etc/capable", b"x")
        guest._session.g.cap_set_file("/etc/capable", "cap_net_raw=ep")
        guest.run(["/bin/true"], {}) if guest.stat("/bin/true") else None
        guest.remove([f"/etc/{name}{number}" for name in ("secret", "link") for number in range(20)])
        for all_digests in (False, True):
            found.append(collect(guest, all_digests=all_digests))
            with monkeypatch.context() as patched:
                patched.setattr(HostReader, "__init__", _unsupported)
                found.append(collect(guest, all_digests=all_digests))
        wiped: list[bool] = []
        on_host = Session._wiped_on_host
        monkeypatch.setattr(Session, "_wiped_on_host", lambda self: wiped.append(on_host(self)) or wiped[-1])
        assert guest.wipe_unused()[1] == []
        assert wiped == [True]
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert [one.path for one in found[0].privileged] == ["/etc/capable", "/etc/name", "/program"]
    assert found[0].installed
    flat = tmp_path / "flat.raw"
    subprocess.run(["qemu-img", "convert", "-f", opened.format, "-O", "raw", opened.top, flat], check=True)
    content = flat.read_bytes()
    assert b"SECRET-" not in content
    argv = ["e2fsck", "-fn", f"{flat}?offset=1048576"]
    assert subprocess.run(argv, check=False, capture_output=True).returncode == 0
    again = HostReader(lambda at, length: content[MIB + at : MIB + at + length], DEVICES, all_digests=True).survey
    assert again.files == found[2].files


def _unsupported(*_: object, **__: object) -> None:
    raise UnsupportedExt4Error("not in this test")


@pytest.mark.guestfs
def test_the_appliance_wipes_small_blocks_on_an_overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = guest_disk(tmp_path, folder(tmp_path / "root"), "-b", "1024")
    (tmp_path / "over").mkdir()
    (opened,) = layers.on_top(tmp_path, tmp_path / "over", [disk.name])
    monkeypatch.setattr(Session, "_wiped_on_host", lambda _: False)
    with launch.opened(opened.top, opened.format, accel="tcg", tmpdir=tmp_path) as guest:
        for number in range(40):
            guest.write(f"/etc/file{number}", (b"SECRET-TEXT " if number % 2 else b"text ") * 100)
        guest._session.g.sync()
        guest.remove([f"/etc/file{number}" for number in range(1, 40, 2)])
        assert guest.wipe_unused()[1] == []
    flat = tmp_path / "flat.raw"
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", opened.top, flat], check=True)
    assert b"SECRET-" not in flat.read_bytes()


@pytest.mark.guestfs
def test_a_copy_of_the_disks_is_complete(tmp_path: Path) -> None:
    disk = guest_disk(tmp_path, folder(tmp_path / "root"), "-b", "4096")
    over, copies = tmp_path / "over", tmp_path / "copies"
    over.mkdir()
    copies.mkdir()
    (opened,) = layers.on_top(tmp_path, over, [disk.name])
    with launch.opened(opened.top, opened.format, accel="tcg", tmpdir=tmp_path) as guest:
        guest.write("/etc/new", b"NEW " * 3 * MIB)
        guest.copy_disks(copies)
        guest.write("/etc/newer", b"later")
    assert layers.linked(layers.found(tmp_path, disk.name), copies)
    assert isinstance(guest, GuestDisk)
    with layers.opened(layers.found(copies, disk.name)) as reader:
        found = HostReader(lambda at, length: reader.read(MIB + at, length), DEVICES, all_digests=False)
        assert found.read("/etc/new", 16 * MIB) == b"NEW " * 3 * MIB
        assert "/etc/newer" not in {one.path for one in found.survey.files}
    checked = subprocess.run(["qemu-img", "check", "-f", "qcow2", copies / opened.top.name], check=False)
    assert checked.returncode == 0
