"""The appliance with a shorter init script: made from libguestfs's own, and only where nobody else
can have made it."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from imagebuild.guest import lean_kernel, lean_start
from imagebuild.kernel import cpio

STOCK = """#!/bin/bash
udevadm trigger
udevadm settle --timeout=600
ip link set dev lo up
mdadm -As --auto=yes --no-degraded
ldmtool create all
lvm pvscan --cache --activate ay
mdadm -As --auto=yes --run
cmd="guestfsd"
guestfsd
"""


class Handle:
    """The required part of a libguestfs handle: its search path and its cache folder."""

    def __init__(self, path: Path, cachedir: Path) -> None:
        self.path, self.cachedir = str(path), str(cachedir)

    def get_path(self) -> str:
        return self.path

    def get_cachedir(self) -> str:
        return self.cachedir

    def set_path(self, path: str) -> None:
        self.path = path

    def set_cachedir(self, path: str) -> None:
        self.cachedir = path


def archive(script: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        member = tarfile.TarInfo("init")
        member.mode, member.size = 0o755, len(script)
        made.addfile(member, io.BytesIO(script.encode()))
    return buffer.getvalue()


@pytest.fixture
def handle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Handle:
    monkeypatch.delenv("LIBGUESTFS_PATH", raising=False)
    parts = tmp_path / "stock" / "supermin.d"
    parts.mkdir(parents=True)
    (parts / "base.tar.gz").write_bytes(b"base")
    (parts / "init.tar.gz").write_bytes(archive(STOCK))
    (tmp_path / "cache").mkdir()
    return Handle(tmp_path / "stock", tmp_path / "cache")


def script_in(path: Path) -> str:
    with tarfile.open(path) as opened:
        assert opened.getmember("init").mode == 0o755
        file = opened.extractfile("init")
        assert file is not None
        return file.read().decode()


def test_all_parts_but_the_init_script_are_libguestfs_own(handle: Handle, tmp_path: Path) -> None:
    lean_start.use(handle, emulated=False)
    parts = Path(handle.path) / "supermin.d"
    assert handle.cachedir == f"{handle.path}/kvm"
    assert (parts / "base.tar.gz").resolve() == tmp_path / "stock" / "supermin.d" / "base.tar.gz"
    script = script_in(parts / "init.tar.gz")
    assert "ldmtool" not in script
    assert "udevadm trigger --subsystem-match=block" in script
    assert script.endswith("guestfsd\n")


def test_what_is_already_correct_keeps_its_time(handle: Handle, tmp_path: Path) -> None:
    lean_start.use(handle, emulated=False)
    made = Path(handle.path) / "supermin.d" / "init.tar.gz"
    before = made.stat()
    again = Handle(tmp_path / "stock", tmp_path / "cache")
    lean_start.use(again, emulated=False)
    assert made.stat().st_mtime_ns == before.st_mtime_ns
    (tmp_path / "stock" / "supermin.d" / "init.tar.gz").write_bytes(
        archive(STOCK.replace("guestfsd", "guestfsd --new"))
    )
    lean_start.use(Handle(tmp_path / "stock", tmp_path / "cache"), emulated=False)
    assert script_in(made).endswith("guestfsd --new\n")


@pytest.mark.parametrize("script", ["#!/bin/bash\nguestfsd\n", ""])
def test_a_script_that_is_not_as_expected_is_left_alone(script: str, handle: Handle, tmp_path: Path) -> None:
    (tmp_path / "stock" / "supermin.d" / "init.tar.gz").write_bytes(archive(script))
    lean_start.use(handle, emulated=False)
    assert (handle.path, handle.cachedir) == (str(tmp_path / "stock"), str(tmp_path / "cache"))


def test_an_appliance_of_the_users_choice_is_left_alone(
    handle: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIBGUESTFS_PATH", str(tmp_path / "stock"))
    lean_start.use(handle, emulated=False)
    assert handle.path == str(tmp_path / "stock")
    monkeypatch.delenv("LIBGUESTFS_PATH")
    fixed = tmp_path / "fixed"
    fixed.mkdir()
    (fixed / "README.fixed").touch()
    handle.path = f"{fixed}:{tmp_path / 'stock'}"
    lean_start.use(handle, emulated=False)
    assert handle.path.startswith(str(fixed))


@pytest.mark.parametrize("planted", ["open", "link", "file"])
def test_a_folder_that_somebody_else_may_have_made_is_not_used(planted: str, handle: Handle, tmp_path: Path) -> None:
    lean_start.use(Handle(tmp_path / "stock", tmp_path / "cache"), emulated=False)
    made = next((tmp_path / "cache").iterdir())
    if planted == "open":
        made.chmod(0o777)
    else:
        made.rename(tmp_path / "elsewhere")
        made.symlink_to(tmp_path / "elsewhere") if planted == "link" else made.touch()
    lean_start.use(handle, emulated=False)
    assert handle.path == str(tmp_path / "stock")


@pytest.mark.parametrize(("seen", "looked"), [("E:ID_FS_TYPE=ext4", 0), ("E:ID_FS_TYPE=LVM2_member", 3)])
def test_volumes_are_searched_for_if_udev_has_seen_some(seen: str, looked: int, tmp_path: Path) -> None:
    (tmp_path / "b8:1").write_text(f"{seen}\n")
    nothing = " ".join(f"{name}() {{ :; }};" for name in ("modprobe", "udevadm", "ip", "guestfsd"))
    programs = f"{nothing} mdadm() {{ echo asked; }}; lvm() {{ echo asked; }}\n"
    script = lean_start.lean(STOCK).replace("/run/udev/data", str(tmp_path)).replace("#!/bin/bash\n", programs)
    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert (told.stdout, told.stderr) == ("asked\n" * looked, "")


def appliance(cache: Path, modules: str) -> tuple[Path, Path]:
    folder = cache / f".guestfs-{os.geteuid()}"
    (folder / "appliance.d").mkdir(parents=True)
    (folder / "lock").touch()
    kernel, initrd = folder / "appliance.d" / "kernel", folder / "appliance.d" / "initrd"
    kernel.write_bytes(b"no kernel that is known")
    with initrd.open("wb") as file:
        cpio.write([cpio.file("init", b"program"), cpio.file("modules", modules.encode())], file)
    return kernel, initrd


ALL = "libata.ko\nata_piix.ko\nvirtio.ko\nvirtio_blk.ko\nvirtio_pci.ko\nsd_mod.ko\nvirtio_scsi.ko\nfuse.ko\n"


def test_the_initramfs_loads_what_libguestfs_machine_has(tmp_path: Path) -> None:
    kernel, initrd = appliance(tmp_path, ALL)
    before = initrd.read_bytes()
    lean_kernel.lighten(tmp_path)
    assert kernel.read_bytes() == b"no kernel that is known"
    after = initrd.read_bytes()
    assert after.startswith(before)
    assert b"virtio.ko\nvirtio_pci.ko\nsd_mod.ko\nvirtio_scsi.ko\n\0" in after[len(before) :]
    lean_kernel.lighten(tmp_path)
    assert initrd.read_bytes() == after, "once is enough"


def test_checksums_are_left_to_the_kernels_own_code(tmp_path: Path) -> None:
    known = "crc32c-intel.ko\ncrc32-pclmul.ko\ncrct10dif-pclmul.ko\ncrc32_generic.ko\n"
    _, initrd = appliance(tmp_path, known + ALL)
    before = initrd.read_bytes()
    lean_kernel.lighten(tmp_path)
    wanted = b"\0crc32_generic.ko\nvirtio.ko\nvirtio_pci.ko\nsd_mod.ko\nvirtio_scsi.ko\n\0"
    assert wanted in initrd.read_bytes()[len(before) :]


def test_a_list_that_an_earlier_release_made_is_replaced(tmp_path: Path) -> None:
    _, initrd = appliance(tmp_path, ALL)
    with initrd.open("ab") as file:
        cpio.write([cpio.file("modules", b"sd_mod.ko\n")], file)
    before = initrd.read_bytes()
    lean_kernel.lighten(tmp_path)
    after = initrd.read_bytes()
    assert b"virtio.ko\nvirtio_pci.ko\nsd_mod.ko\nvirtio_scsi.ko\n\0" in after[len(before) :]
    lean_kernel.lighten(tmp_path)
    assert initrd.read_bytes() == after


@pytest.mark.parametrize("modules", ["virtio_blk.ko\n", "", "virtio.ko\nvirtio_pci.ko\nsd_mod.ko\n"])
def test_an_initramfs_that_is_not_as_expected_is_left_alone(modules: str, tmp_path: Path) -> None:
    _, initrd = appliance(tmp_path, modules)
    before = initrd.read_bytes()
    lean_kernel.lighten(tmp_path)
    assert initrd.read_bytes() == before


def test_no_appliance_yet(tmp_path: Path) -> None:
    lean_kernel.lighten(tmp_path)
    assert list(tmp_path.iterdir()) == []
