"""Two real disks, in images of different formats."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from imagebuild.contents.inventory import DiskArea, DiskLayout
from imagebuild.host.process import run
from imagebuild.progress import SILENT
from imagebuild.reproduce import disk_comparison, superblock
from imagebuild.reproduce.disk_comparison import TABLE

MIB = 1 << 20
UUID = "3f1f2a52-0c1e-4a6d-9f0e-6d1f3c1b2a3d"
OTHER = "00000000-0c1e-4a6d-9f0e-6d1f3c1b2a3d"
LAYOUT = DiskLayout(64 * MIB, "dos", (DiskArea("sda1", 1, MIB, 63 * MIB, "83", "", "ext4"),))


def disk(path: Path, signature: str, uuid: str) -> Path:
    """A disk with one partition with an ext4."""
    path.write_bytes(b"")
    with path.open("r+b") as file:
        file.truncate(64 * MIB)
    script = f"label: dos\nlabel-id: {signature}\nstart=2048, type=83\n"
    subprocess.run(["/usr/sbin/sfdisk", "--quiet", path], input=script, text=True, check=True)
    options = f"offset={MIB},hash_seed={UUID},lazy_itable_init=0,lazy_journal_init=0"
    env = {"PATH": "/usr/sbin:/usr/bin", "E2FSPROGS_FAKE_TIME": "1790000000"}
    run(["mkfs.ext4", "-q", "-F", "-U", uuid, "-E", options, path, "63M"], timeout=60, env=env)
    return path


@pytest.mark.seconds
def test_where_disks_differ(tmp_path: Path) -> None:
    one = disk(tmp_path / "one.raw", "0x0badcafe", UUID)
    two = disk(tmp_path / "two.raw", "0x0badf00d", OTHER)
    with two.open("r+b") as file:
        file.seek(40 * MIB + 5)
        file.write(b"x")
    packed = tmp_path / "two.qcow2"
    run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", two, packed], timeout=60)
    table, partition = disk_comparison.compare(one, packed, LAYOUT, SILENT)
    assert (table.name, table.different) == (TABLE, 1)
    assert table.identifiers == {"disk signature": ("0badcafe", "0badf00d")}
    assert partition.identifiers == {"UUID": (UUID, OTHER)}
    assert 2 <= partition.different < partition.blocks


@pytest.mark.seconds
def test_equal_disks(tmp_path: Path) -> None:
    one = disk(tmp_path / "one.raw", "0x0badcafe", UUID)
    packed = tmp_path / "one.qcow2"
    run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", one, packed], timeout=60)
    found = disk_comparison.compare(one, packed, LAYOUT, SILENT)
    assert [(part.different, part.identifiers) for part in found] == [(0, {}), (0, {})]
    assert found[1].blocks > 0


@pytest.mark.parametrize(
    ("program", "options", "found"),
    [
        ("mkfs.xfs", ["-q", "-m", f"uuid={UUID}"], {"UUID": UUID}),
        ("mkfs.vfat", ["-F", "32", "-i", "1234ABCD"], {"UUID": "1234ABCD"}),
    ],
)
def test_identifiers_of_other_file_systems(
    tmp_path: Path, program: str, options: list[str], found: dict[str, str]
) -> None:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(400 * MIB)
    run([program, *options, path], timeout=60, env={"PATH": "/usr/sbin:/usr/bin"})
    assert superblock.identifiers(path.read_bytes()[: superblock.SIZE]) == found


def test_a_gpt(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(16 * MIB)
    script = f"label: gpt\nlabel-id: {UUID}\nstart=2048, size=2048, uuid={OTHER}\n"
    subprocess.run(["/usr/sbin/sfdisk", "--quiet", path], input=script, text=True, check=True)
    found = superblock.identifiers(path.read_bytes()[: superblock.SIZE])
    assert (found["disk GUID"], found["GUID of partition 1"]) == (UUID, OTHER)


@pytest.mark.parametrize("head", [b"", bytes(superblock.SIZE), b"\xff" * superblock.SIZE])
def test_nothing_known(head: bytes) -> None:
    assert superblock.identifiers(head) == {}
