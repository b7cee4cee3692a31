"""The script that grows the root file system, run with a fake sysfs and fake programs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from imagebuild.customise.guest import Guest
from imagebuild.customise.operations import grow_root_at_first_boot as operation
from imagebuild.errors import GuestError
from tests.operations.memory import MemoryDisk, Node, with_folders

MIB = 2048
"""In sectors."""
DUMP = """\
label: gpt
label-id: 9937A9F6-0E4E-B449-9391-943B0F6EF79C
device: /dev/vdz
unit: sectors
first-lba: 34
last-lba: 204766

/dev/vdz1 : start=        2048, size=       20480, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=A6C0B501
/dev/vdz2 : start=       22528, size=      180224, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=C7518C3A
"""
COREUTILS = ("cat", "grep", "readlink", "sed", "tail")


class Machine:
    """A folder with a sysfs and programs that record how they were called."""

    def __init__(self, folder: Path, *, root: str = "vdz2", fstype: str = "ext4", table: str = "gpt") -> None:
        self.sys = folder / "sys"
        self.bin = folder / "bin"
        self.calls_file = folder / "calls"
        self.folder = folder
        (self.sys / "block").mkdir(parents=True)
        self.bin.mkdir()
        for name in COREUTILS:
            (self.bin / name).symlink_to(str(shutil.which(name)))
        self.program("findmnt", f'case $3 in SOURCE) echo "/dev/{root}";; FSTYPE) echo {fstype};; esac', log=False)
        self.program("blkid", f"echo {table}", log=False)
        for name in ("resize2fs", "xfs_growfs", "btrfs"):
            self.program(name, "")

    def program(self, name: str, script: str, *, log: bool = True) -> None:
        path = self.bin / name
        line = f'echo "{name} $*" >>{self.calls_file}\n' if log else ""
        path.write_text(f"#!/bin/sh\n{line}{script}\n")
        path.chmod(0o755)

    def disk(self, name: str, size: int, partitions: Mapping[int, tuple[int, int]]) -> None:
        """A disk with partitions by number: start and size in sectors."""
        folder = self.sys / "devices" / name
        self._device(folder, {"size": size})
        for number, (start, length) in partitions.items():
            self._device(folder / f"{name}{number}", {"size": length, "start": start, "partition": number})

    def _device(self, folder: Path, numbers: Mapping[str, int]) -> None:
        folder.mkdir(parents=True)
        for name, number in numbers.items():
            (folder / name).write_text(f"{number}\n")
        (self.sys / "block" / folder.name).symlink_to(folder)

    def volume(self, name: str, uuid: str, *slaves: str) -> None:
        folder = self.sys / "devices" / name
        (folder / "slaves").mkdir(parents=True)
        (folder / "dm").mkdir()
        (folder / "dm" / "uuid").write_text(f"{uuid}\n")
        for slave in slaves:
            (folder / "slaves" / slave).symlink_to(self.sys / "block" / slave)
        (self.sys / "block" / name).symlink_to(folder)

    def sfdisk(self, *, size: int, partition: str = "vdz2") -> None:
        """An sfdisk that records the new table, and a kernel that then has the new size."""
        (self.folder / "dump").write_text(DUMP)
        self.program(
            "sfdisk",
            f'if [ "$1" = -d ]; then cat {self.folder}/dump; else cat >{self.folder}/table; fi',
        )
        self.program("partx", f"echo {size} >{self.sys}/block/{partition}/size")

    def run(self) -> tuple[int, str]:
        script = operation.TEXT.replace("/sys/class/block", f"{self.sys}/block")
        script = script.replace("export PATH=", f"export PATH={self.bin} OLD=", 1)
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
            check=False,
        )
        return done.returncode, done.stdout

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    found = Machine(tmp_path)
    found.disk("vdz", 300 * MIB, {1: (2048, 20480), 2: (22528, 180224)})
    return found


def test_the_last_partition_grows_with_sfdisk(machine: Machine, tmp_path: Path) -> None:
    machine.sfdisk(size=589824)
    assert machine.run() == (0, "vdz2 has grown from 88 to 288 MiB\n")
    assert machine.calls == [
        "sfdisk -d /dev/vdz",
        "sfdisk -q --no-reread --force /dev/vdz",
        "partx -u --nr 2 /dev/vdz",
        "resize2fs /dev/vdz2",
    ]
    lines = [line for line in DUMP.splitlines() if not line.startswith("last-lba")]
    expected = [line.replace("size=      180224, ", "") for line in lines]
    assert (tmp_path / "table").read_text().splitlines() == expected


def test_growpart_comes_first(machine: Machine) -> None:
    machine.sfdisk(size=1)
    machine.program("growpart", f"echo 589824 >{machine.sys}/block/vdz2/size")
    assert machine.run() == (0, "vdz2 has grown from 88 to 288 MiB\n")
    assert machine.calls == ["growpart /dev/vdz 2", "resize2fs /dev/vdz2"]


def test_a_grown_partition_is_left_alone(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.disk("vdz", 300 * MIB, {1: (2048, 20480), 2: (22528, 589824)})
    machine.sfdisk(size=1)
    assert machine.run() == (0, "vdz2 reaches to the end of vdz\n")
    assert machine.calls == ["resize2fs /dev/vdz2"]


def test_a_partition_before_another_one_cannot_grow(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.disk("vdz", 300 * MIB, {1: (202752, 20480), 2: (22528, 180224)})
    machine.sfdisk(size=1)
    assert machine.run() == (0, "vdz2 is not the last partition of vdz: it cannot grow\n")
    assert machine.calls == ["resize2fs /dev/vdz2"]


def test_a_logical_partition_is_left_alone(tmp_path: Path) -> None:
    machine = Machine(tmp_path, root="vdz5", table="dos")
    machine.disk("vdz", 300 * MIB, {1: (2048, 20480), 2: (22526, 2), 5: (22528, 180224)})
    machine.sfdisk(size=1)
    assert machine.run() == (0, "vdz5 is a logical partition: it is not grown\n")


@pytest.mark.parametrize(("table", "grows"), [("dos", False), ("gpt", True)])
def test_a_dos_table_ends_at_2_tib(tmp_path: Path, *, table: str, grows: bool) -> None:
    machine = Machine(tmp_path, table=table)
    machine.disk("vdz", 3 << 31, {2: (2048, 4294967295 - 2048)})
    machine.sfdisk(size=3 << 31)
    status, _ = machine.run()
    assert status == 0
    assert ("partx -u --nr 2 /dev/vdz" in machine.calls) == grows


@pytest.mark.parametrize(
    ("fstype", "call"),
    [("ext3", "resize2fs /dev/vdz2"), ("xfs", "xfs_growfs /"), ("btrfs", "btrfs filesystem resize max /")],
)
def test_the_file_system_grows_with_its_own_program(tmp_path: Path, fstype: str, call: str) -> None:
    machine = Machine(tmp_path, root="vdz2[/root]" if fstype == "btrfs" else "vdz2", fstype=fstype)
    machine.disk("vdz", 300 * MIB, {2: (2048, 610304)})
    assert machine.run() == (0, "vdz2 reaches to the end of vdz\n")
    assert machine.calls == [call]


def test_a_disk_without_partitions(tmp_path: Path) -> None:
    machine = Machine(tmp_path, root="vdz", fstype="xfs")
    machine.disk("vdz", 300 * MIB, {})
    assert machine.run() == (0, "")
    assert machine.calls == ["xfs_growfs /"]


def on_volume(machine: Machine, uuid: str = "LVM-abc") -> None:
    """Let the root file system be on dm-7 above vdz2."""
    link = machine.folder / "vg-root"
    link.symlink_to("/dev/dm-7")
    machine.program("findmnt", f'case $3 in SOURCE) echo "{link}";; FSTYPE) echo xfs;; esac', log=False)
    machine.volume("dm-7", uuid, "vdz2")
    machine.program("pvresize", "")
    machine.program("lvs", "echo '  50'")
    machine.program("lvextend", "")


def test_a_logical_volume_grows_with_its_partition(machine: Machine, tmp_path: Path) -> None:
    on_volume(machine)
    machine.sfdisk(size=589824)
    assert machine.run() == (0, "vdz2 has grown from 88 to 288 MiB\n")
    assert machine.calls[3:] == [
        "pvresize /dev/vdz2",
        f"lvs --noheadings -o vg_free_count {tmp_path}/vg-root",
        f"lvextend -l +100%FREE {tmp_path}/vg-root",
        "xfs_growfs /",
    ]


def test_a_volume_group_without_free_space(machine: Machine) -> None:
    on_volume(machine)
    machine.sfdisk(size=589824)
    machine.program("lvs", "echo '  0'")
    assert machine.run()[0] == 0
    assert not any(call.startswith("lvextend") for call in machine.calls)


def test_encryption_is_refused(machine: Machine) -> None:
    on_volume(machine, "CRYPT-LUKS2-abc")
    assert machine.run() == (1, "the root file system is on encryption or RAID (dm-7): it is not grown\n")
    assert machine.calls == []


@pytest.mark.parametrize("failing", ["sfdisk", "partx", "resize2fs"])
def test_a_program_that_fails_fails_the_unit(machine: Machine, failing: str) -> None:
    machine.sfdisk(size=589824)
    machine.program(failing, "exit 1")
    status, output = machine.run()
    assert status == 1
    assert output.endswith(
        {
            "sfdisk": "sfdisk cannot read the partition table of vdz\n",
            "partx": "the kernel does not take the new size of vdz2 until the next boot\n",
            "resize2fs": "resize2fs cannot grow the root file system\n",
        }[failing]
    )


def test_a_kernel_that_keeps_the_old_size_fails_the_unit(machine: Machine) -> None:
    machine.sfdisk(size=180224)
    assert machine.run() == (1, "vdz2 has not grown\n")


def test_nothing_is_written_if_the_table_has_no_such_partition(machine: Machine, tmp_path: Path) -> None:
    machine.sfdisk(size=1)
    (tmp_path / "dump").write_text(DUMP.replace("vdz2", "vdz20"))
    assert machine.run() == (1, "sfdisk does not list vdz2\n")
    assert not (tmp_path / "table").exists()


def test_a_root_file_system_that_is_not_on_a_disk(tmp_path: Path) -> None:
    assert Machine(tmp_path, root="missing").run() == (1, "the root file system is not on a disk: /dev/missing\n")


@pytest.mark.seconds
@pytest.mark.skipif(shutil.which("sfdisk") is None, reason="sfdisk is not installed")
@pytest.mark.parametrize("label", ["gpt", "dos"])
def test_the_real_sfdisk_writes_the_new_table(machine: Machine, tmp_path: Path, label: str) -> None:
    real, disk = shutil.which("sfdisk"), tmp_path / "image"
    with disk.open("wb") as file:
        file.truncate(100 << 20)
    table = f"label: {label}\nstart=2048, size=20480\nstart=22528\n"
    subprocess.run([str(real), "-q", disk], input=table, text=True, check=True, timeout=30)
    with disk.open("r+b") as file:
        file.write(b"boot code")
        file.truncate(300 << 20)
    machine.program(
        "sfdisk",
        f'if [ "$1" = -d ]; then {real} -d {disk} | sed "s|{disk}|/dev/vdz|"; '
        f'else sed "s|/dev/vdz|{disk}|" | {real} -q --no-reread --force {disk}; fi',
    )
    machine.program("partx", f"echo 589824 >{machine.sys}/block/vdz2/size")
    before = json.loads(subprocess.run([str(real), "--json", disk], capture_output=True, check=True).stdout)
    assert machine.run()[0] == 0
    after = json.loads(subprocess.run([str(real), "--json", disk], capture_output=True, check=True).stdout)
    old, new = before["partitiontable"]["partitions"], after["partitiontable"]["partitions"]
    assert new[0] == old[0]
    assert new[1] == {**old[1], "size": new[1]["size"]}
    assert 300 * MIB - 4096 < new[1]["start"] + new[1]["size"] <= 300 * MIB
    assert after["partitiontable"]["id"] == before["partitiontable"]["id"]
    assert disk.read_bytes()[:9] == b"boot code"


@pytest.mark.parametrize("device", ["/dev/md127", "/dev/mapper/luks-0a0b"])
def test_raid_and_luks_are_errors_while_the_image_is_built(device: str) -> None:
    files = MemoryDisk(
        with_folders({"/usr/lib/systemd/systemd": Node("file", 0o755), "/usr/bin/growpart": Node("file", 0o755)})
    )
    files.boot_device = device
    with pytest.raises(GuestError, match="on RAID or LUKS"):
        operation.apply(Guest(files), operation.Params())
