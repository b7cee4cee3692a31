"""The sector size of disks, and a guest on a disk with large sectors."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from imagebuild import guest
from imagebuild.customise import registry
from imagebuild.customise.runner import apply_one
from imagebuild.guest.sectors import sector_size
from imagebuild.image import qemu_img
from imagebuild.image.disk_image import Format
from tests.guest import large_sectors
from tests.guest.large_sectors import ESP, LINUX, MIB

ROOT = "5b2844d4-1449-4f8b-95ae-38a06d1bd955"


def written(path: Path, *pieces: tuple[int, bytes], size: int = 64 * MIB) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
        for at, content in pieces:
            file.seek(at)
            file.write(content)
    return path


def table(sector: int) -> bytes:
    return large_sectors.gpt([(LINUX, MIB, MIB)], 64 * MIB, sector)[0]


EXT = b"\x53\xef"


@pytest.mark.parametrize(
    ("pieces", "found"),
    [
        ([], 512),
        ([(0, table(512))], 512),
        ([(0, table(4096))], 4096),
        ([(0, large_sectors.mbr([MIB], 512)), (MIB + 0x438, EXT)], 512),
        ([(0, large_sectors.mbr([MIB, 17 * MIB], 4096)), (17 * MIB + 0x438, EXT)], 4096),
        ([(0, large_sectors.mbr([MIB], 4096)), (MIB, b"XFSB")], 4096),
        ([(0, large_sectors.mbr([MIB], 4096))], 512),
        ([(0, large_sectors.mbr([MIB], 4096)), (MIB + 0x438, EXT), (MIB // 8 + 0x438, EXT)], 512),
        ([(0, large_sectors.mbr([1 << 40], 4096))], 512),
    ],
    ids=["empty", "gpt", "large gpt", "mbr", "large mbr", "large mbr, xfs", "nothing there", "both", "behind the end"],
)
@pytest.mark.parametrize("fmt", ["raw", "qcow2"])
def test_the_partition_table_says_it(pieces: list[tuple[int, bytes]], found: int, fmt: Format, tmp_path: Path) -> None:
    disk = written(tmp_path / "disk.raw", *pieces)
    if fmt == "qcow2":
        raw, disk = disk, tmp_path / "disk.qcow2"
        qemu_img.convert(raw, disk, "qcow2")
    assert sector_size(disk, fmt) == found


@pytest.mark.guestfs
def test_a_guest_on_large_sectors_with_names_of_nvme(tmp_path: Path) -> None:
    tree, esp, root, disk = (tmp_path / name for name in ("tree", "esp", "root", "disk.raw"))
    for path, text in {
        "etc/os-release": "ID=debian\n",
        "etc/fstab": f"UUID={ROOT} / ext4 defaults 0 1\n/dev/nvme0n1p1 /boot/efi vfat defaults 0 1\n",
        "boot/efi/.keep": "",
    }.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    written(root, size=64 * MIB)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-U", ROOT, "-d", tree, root], check=True)
    written(esp, size=300 * MIB)
    subprocess.run(
        ["mkfs.vfat", "-F", "32", "-S", "4096", "-s", "1", "-i", "ABCD1234", esp], check=True, capture_output=True
    )
    (tmp_path / "stub").write_text(f"search.fs_uuid {ROOT} root\n")
    subprocess.run(["mcopy", "-i", esp, tmp_path / "stub", "::grub.cfg"], check=True)
    large_sectors.disk_of(disk, [(ESP, esp), (LINUX, root)])
    with guest.opened(disk, "raw", accel="tcg", tmpdir=tmp_path) as opened:
        assert opened.mountpoints() == ["/", "/boot/efi"]
        apply_one(opened, registry.call("renew-disk-identifiers"))
        new = opened._g.vfs_uuid("/dev/sda2")
        assert new != ROOT
        assert opened.read("/boot/efi/grub.cfg", 4096) == f"search.fs_uuid {new} root\n".encode()
        assert opened.wipe_unused()[1] == []
    after = tmp_path / "after"
    subprocess.run(["dd", f"if={disk}", f"of={after}", "bs=1M", "skip=1", "count=300", "status=none"], check=True)
    checked = subprocess.run(["fsck.vfat", "-n", after], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    first, second = (after.read_bytes()[at : at + 90] for at in (0, 6 * 4096))
    assert first[67:71] == second[67:71] != bytes.fromhex("ABCD1234")[::-1]
