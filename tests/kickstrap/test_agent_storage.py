"""Partitions: arithmetic, and sfdisk on a real image file; file systems by the real mkfs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.kickstrap.agent import layout, storage
from imagebuild.kickstrap.agent.command import Commands
from imagebuild.kickstrap.agent.errors import InstallError
from imagebuild.kickstrap.agent.plan import FileSystem

SBIN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def test_one_file_system_takes_the_disk() -> None:
    assert layout.sizes([FileSystem("/", size=1024, grow=True)], 4096) == [4095]


def test_what_does_not_grow_keeps_its_size() -> None:
    assert layout.sizes([FileSystem("/", size=1024), FileSystem("/var", size=10)], 4096) == [1024, 10]


def test_growth_is_shared_in_proportion_and_up_to_the_limit() -> None:
    wanted = [
        FileSystem("/", size=100, grow=True),
        FileSystem("/var", size=200, grow=True, maxsize=250),
        FileSystem("/srv", size=300, grow=True),
    ]
    root, var, srv = layout.sizes(wanted, 2001)
    assert var == 250
    assert root + srv == 1750
    assert srv > root > 100


def test_a_disk_that_is_too_small_is_told_in_figures() -> None:
    with pytest.raises(InstallError, match=r"need 1024 MiB, but the disk has 999 MiB .*1000 MiB"):
        layout.sizes([FileSystem("/", size=1024, grow=True)], 1000)


file_systems = st.lists(
    st.builds(
        lambda size, grow, more: FileSystem("/x", size=size, grow=grow, maxsize=size + more if more else 0),
        st.integers(1, 5000),
        st.booleans(),
        st.integers(0, 3000),
    ),
    min_size=1,
    max_size=4,
)


@given(file_systems, st.integers(2, 40_000))
def test_sizes_fit_grow_and_leave_nothing_that_could_be_used(wanted: list[FileSystem], disk: int) -> None:
    room = disk - layout.FIRST
    if sum(fs.size for fs in wanted) > room:
        with pytest.raises(InstallError):
            layout.sizes(wanted, disk)
        return
    got = layout.sizes(wanted, disk)
    assert sum(got) <= room
    for fs, size in zip(wanted, got, strict=True):
        assert size == fs.size if not fs.grow else fs.size <= size <= (fs.maxsize or room)
    can_grow = any(fs.grow and (not fs.maxsize or size < fs.maxsize) for fs, size in zip(wanted, got, strict=True))
    assert sum(got) == room or not can_grow


def test_sfdisk_makes_the_partitions(tmp_path: Path) -> None:
    image = tmp_path / "disk.raw"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    logged: list[str] = []
    wanted = [FileSystem("/boot", size=10), FileSystem("/", size=20, grow=True)]
    sizes = layout.sizes(wanted, storage.disk_size(str(image)))
    Commands(logged.append).run(["sfdisk", image], input=layout.sfdisk_script(sizes, 0))
    listed = json.loads(subprocess.check_output(["sfdisk", "--json", image], env=SBIN))["partitiontable"]
    assert listed["label"] == "dos"
    assert [(p["start"], p["size"], p["type"], p.get("bootable", False)) for p in listed["partitions"]] == [
        (2048, 10 * 2048, "83", True),
        (11 * 2048, 53 * 2048, "83", False),
    ]


def test_ext4_is_readable_by_older_hosts_and_wholly_initialised(tmp_path: Path) -> None:
    image = tmp_path / "ext4.raw"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    commands = Commands(lambda _: None)
    uuid = "3f1f2a52-0c1e-4a6d-9f0e-6d1f3c1b2a3d"
    file_system = FileSystem("/", label="root")
    commands.run(storage.mkfs_command(file_system, str(image), uuid, storage.readable_features(commands)))
    about = subprocess.check_output(["dumpe2fs", "-h", image], env=SBIN, text=True, stderr=subprocess.DEVNULL)
    assert uuid in about
    assert "root" in about
    assert "orphan_file" not in about
    assert "metadata_csum_seed" not in about


def test_xfs_is_made_with_its_uuid() -> None:
    command = storage.mkfs_command(FileSystem("/srv", "xfs", label="data"), "/dev/vda2", "some-uuid")
    assert command == ["mkfs.xfs", "-q", "-f", "-m", "uuid=some-uuid", "-L", "data", "/dev/vda2"]


def disk(blocks: Path, name: str, serial: str | None = None, *, read_only: bool = False, page: bytes = b"") -> None:
    folder = blocks / name
    (folder / "device").mkdir(parents=True)
    (folder / "ro").write_text("1\n" if read_only else "0\n")
    if serial is not None:
        (folder / "serial").write_text(serial)
    if page:
        (folder / "device" / "vpd_pg80").write_bytes(page)


def test_the_target_is_found_by_its_serial(tmp_path: Path) -> None:
    disk(tmp_path, "vda", "stage2")
    disk(tmp_path, "vdb", "target")
    disk(tmp_path, "vdc", "")
    assert storage.find_disk(tmp_path) == "/dev/vdb"


def test_a_scsi_disk_tells_its_serial_elsewhere(tmp_path: Path) -> None:
    disk(tmp_path, "sda", page=b"\0\x80\0\x06target")
    disk(tmp_path, "sdb")
    assert storage.find_disk(tmp_path) == "/dev/sda"


def test_without_a_serial_it_is_the_only_writable_disk(tmp_path: Path) -> None:
    disk(tmp_path, "vda", "")
    disk(tmp_path, "vdb", "payload", read_only=True)
    disk(tmp_path, "loop0")
    disk(tmp_path, "sr0", read_only=True)
    assert storage.find_disk(tmp_path) == "/dev/vda"


@pytest.mark.parametrize("names", [[], ["vda", "vdb"]])
def test_no_disk_is_guessed(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        disk(tmp_path, name, "")
    with pytest.raises(InstallError, match="vda, vdb" if names else "none"):
        storage.find_disk(tmp_path)


@pytest.mark.parametrize(("name", "device"), [("/dev/vda", "/dev/vda2"), ("/dev/nvme0n1", "/dev/nvme0n1p2")])
def test_partition_names(name: str, device: str) -> None:
    assert storage.partition_device(name, 2) == device


def test_processes_inside_a_folder_are_found(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path) as process:
        try:
            assert storage.processes_inside(tmp_path) == [process.pid]
        finally:
            process.kill()
