"""Partitions with the real sfdisk and file systems with the real mkfs, on image files; finding
disks.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from imagebuild.kickstrap.agent import btrfs, devices, filesystems, layout, luks, lvm, raid, readable, storage, volumes
from imagebuild.kickstrap.agent.command import CommandRunner, Result
from imagebuild.kickstrap.agent.disks import Array, Btrfs, Encrypted, FileSystem, LogicalVolume, Partition, Storage
from imagebuild.kickstrap.agent.errors import InstallError
from imagebuild.kickstrap.agent.identity import DiskIdentity
from imagebuild.kickstrap.agent.machine import TargetMachine
from imagebuild.kickstrap.agent.target import Target

SBIN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def image(tmp_path: Path, mib: int = 64) -> Path:
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        file.truncate(mib << 20)
    return path


def partition_table(path: Path) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(subprocess.check_output(["sfdisk", "--json", path], env=SBIN))["partitiontable"]
    return table


def uuids(partitions: int) -> list[str]:
    """Those of a label and of its partitions."""
    same = DiskIdentity("5e" * 32)
    return [same.uuid(number) for number in range(partitions + 1)]


@pytest.mark.seconds
def test_sfdisk_makes_the_partitions(tmp_path: Path) -> None:
    path = image(tmp_path)
    machine = TargetMachine((devices.disk_size(str(path)),))
    placed = layout.place(Storage((Partition("/boot", 10), Partition("/", 20, grow=True))), machine)
    CommandRunner(lambda _: None).run(["sfdisk", path], input=layout.sfdisk_script(placed, "msdos", "/boot", uuids(2)))
    listed = partition_table(path)
    assert listed["label"] == "dos"
    assert listed["id"] == f"0x{uuids(2)[0][:8]}"
    assert [(p["start"], p["size"], p["type"], p.get("bootable", False)) for p in listed["partitions"]] == [
        (2048, 10 * 2048, "83", True),
        (11 * 2048, 53 * 2048, "83", False),
    ]


def test_sfdisk_makes_a_gpt_of_every_kind(tmp_path: Path) -> None:
    path = image(tmp_path)
    kinds = ("biosboot", "esp", "linux", "swap", "lvm", "raid")
    wanted = Storage(tuple(Partition(kind, 2, kind=kind) for kind in kinds), label="gpt")
    placed = layout.place(wanted, TargetMachine((64,)))
    CommandRunner(lambda _: None).run(["sfdisk", path], input=layout.sfdisk_script(placed, "gpt", "linux", uuids(6)))
    listed = partition_table(path)
    assert listed["label"] == "gpt"
    assert [listed["id"], *(p["uuid"] for p in listed["partitions"])] == [one.upper() for one in uuids(6)]
    # the GUIDs of the UEFI specification and of systemd's Discoverable Partitions Specification
    assert [p["type"] for p in listed["partitions"]] == [
        "21686148-6449-6E6F-744E-656564454649",
        "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
        "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
        "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
        "E6D6D379-F507-44C2-A23C-238F2A3DF928",
        "A19D880F-05FC-4D3B-A006-743F0F84911E",
    ]


@pytest.mark.parametrize("fstype", ["xfs", "btrfs", "vfat", "swap", "ext4"])
def test_a_file_system_gets_its_uuid_and_its_label(tmp_path: Path, fstype: str) -> None:
    path = image(tmp_path, 400)
    uuid = filesystems.uuid_for(fstype, str(uuid4()))
    CommandRunner(lambda _: None).run(filesystems.mkfs_command(FileSystem("/x", fstype, label="data"), str(path), uuid))
    output = subprocess.check_output(["blkid", "-o", "export", path], env=SBIN, text=True).splitlines()
    assert f"UUID={uuid}" in output
    assert f"TYPE={fstype}" in output
    assert ("LABEL=DATA" if fstype == "vfat" else "LABEL=data") in output


def test_a_btrfs_over_two_devices(tmp_path: Path) -> None:
    members = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        members.append(str(image(tmp_path / name, 200)))
    uuid = str(uuid4())
    volume = Btrfs("pool", ("btrfs.1", "btrfs.2"), "pool", "raid1", "raid1")
    CommandRunner(lambda _: None).run(btrfs.mkfs_command(volume, members, uuid))
    for member in members:
        output = subprocess.check_output(["btrfs", "inspect-internal", "dump-super", member], env=SBIN, text=True)
        assert uuid in output
        assert re.search(r"num_devices\s+2", output)


def test_ext4_is_readable_by_older_hosts_and_fully_initialised(tmp_path: Path) -> None:
    path = image(tmp_path)
    commands = CommandRunner(lambda _: None)
    uuid = "3f1f2a52-0c1e-4a6d-9f0e-6d1f3c1b2a3d"
    file_system = FileSystem("/", label="root")
    features, hashes = readable.options(commands, "ext4"), "f8c9e1c6-3b1f-4f0e-8d25-2f1b0c9d7e6a"
    commands.run(filesystems.mkfs_command(file_system, str(path), uuid, features, hashes))
    about = subprocess.check_output(["dumpe2fs", "-h", path], env=SBIN, text=True, stderr=subprocess.DEVNULL)
    assert uuid in about
    assert "root" in about
    assert "Directory Hash Seed:      f8c9e1c6-3b1f-4f0e-8d25-2f1b0c9d7e6a" in about
    assert "orphan_file" not in about
    assert "metadata_csum_seed" not in about


def test_an_array_is_created_from_empty_members() -> None:
    mirror = Array("/boot", "boot", 1, ("raid.1", "raid.2"))
    uuid = "3f1f2a52-0c1e-4a6d-9f0e-6d1f3c1b2a3d"
    assert raid.create_command(mirror, ["/dev/vda1", "/dev/vdb1"], uuid) == [
        "mdadm", "--create", "/dev/md/boot", "--run", "--quiet", "--auto=yes", "--metadata=1.2", "--data-offset=1024",
        "--level=1", "--raid-devices=2", "--homehost=any", "--name=boot", f"--uuid={uuid}", "--assume-clean",
        "/dev/vda1", "/dev/vdb1",
    ]  # fmt: skip
    assert "--metadata=1.0" in raid.create_command(mirror._replace(kind="esp"), ["/dev/vda1", "/dev/vdb1"], uuid)
    assert "--assume-clean" not in raid.create_command(mirror._replace(level=0), ["/dev/vda1", "/dev/vdb1"], uuid)


def test_the_initramfs_gets_a_second_archive(tmp_path: Path) -> None:
    """The real cpio in a folder instead of a chroot; the kernel needs each archive at a multiple of
    four bytes.
    """

    class Here(CommandRunner):
        def run(self, argv: Any, **options: Any) -> Any:
            words = [word.replace("--file=/", f"--file={tmp_path}/") for word in argv]
            return super().run(["env", f"--chdir={tmp_path}", *words], **options)

    target = Target(tmp_path, Here(lambda _: None))
    target.write("/boot/initrd.img-6.12", "first")
    target.write(raid.CONFIGURATION, "ARRAY /dev/md/boot\n")
    raid.tell_initramfs(target)
    content = (tmp_path / "boot/initrd.img-6.12").read_bytes()
    assert content.startswith(b"first\0\0\x000707")
    listed = subprocess.run(["cpio", "--list", "--quiet"], input=content[8:], capture_output=True, check=True).stdout
    assert listed.decode().split() == ["etc", "etc/mdadm", "etc/mdadm/mdadm.conf"]
    assert not (tmp_path / "boot/.mdadm.cpio").exists()


def test_a_logical_volume_and_its_device() -> None:
    volume = LogicalVolume("my-group", "my-root")
    assert lvm.lvcreate_command(volume, 25) == [
        "lvcreate", "--yes", "--wipesignatures", "n", "--extents", "25", "--name", "my-root", "my-group",
    ]  # fmt: skip
    assert lvm.mapper_device(volume) == "/dev/mapper/my--group-my--root"


def test_a_link_replaces_udevs(tmp_path: Path) -> None:
    for target in ("vda1", "vda2"):
        devices.link_by_uuid(str(tmp_path / target), "some-uuid", tmp_path / "by-uuid")
        assert (tmp_path / "by-uuid" / "some-uuid").readlink() == tmp_path / target


def disk(blocks: Path, name: str, serial: str | None = None, *, read_only: bool = False, page: bytes = b"") -> None:
    folder = blocks / name
    (folder / "device").mkdir(parents=True)
    (folder / "ro").write_text("1\n" if read_only else "0\n")
    if serial is not None:
        (folder / "serial").write_text(serial)
    if page:
        (folder / "device" / "vpd_pg80").write_bytes(page)


def test_the_targets_are_found_by_their_serials_in_order(tmp_path: Path) -> None:
    disk(tmp_path, "vda", "stage2")
    disk(tmp_path, "vdb", "target")
    disk(tmp_path, "vdc", "")
    disk(tmp_path, "vdd", "target10")
    disk(tmp_path, "vde", "target2")
    assert devices.find_disks(tmp_path) == ["/dev/vdb", "/dev/vde", "/dev/vdd"]


def test_the_serial_number_of_a_scsi_disk(tmp_path: Path) -> None:
    disk(tmp_path, "sda", page=b"\0\x80\0\x06target")
    disk(tmp_path, "sdb")
    assert devices.find_disks(tmp_path) == ["/dev/sda"]


def test_without_a_serial_number_the_only_writable_disk_is_used(tmp_path: Path) -> None:
    disk(tmp_path, "vda", "")
    disk(tmp_path, "vdb", "payload", read_only=True)
    disk(tmp_path, "loop0")
    disk(tmp_path, "sr0", read_only=True)
    assert devices.find_disks(tmp_path) == ["/dev/vda"]


@pytest.mark.parametrize("names", [[], ["vda", "vdb"]])
def test_no_disk_is_guessed(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        disk(tmp_path, name, "")
    with pytest.raises(InstallError, match="vda, vdb" if names else "none"):
        devices.find_disks(tmp_path)


@pytest.mark.parametrize(("name", "device"), [("/dev/vda", "/dev/vda2"), ("/dev/nvme0n1", "/dev/nvme0n1p2")])
def test_partition_names(name: str, device: str) -> None:
    assert devices.partition_device(name, 2) == device


def test_processes_inside_a_folder_are_found(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path) as process:
        try:
            assert storage.processes_inside(tmp_path) == [process.pid]
        finally:
            process.kill()


def test_thin_pools_volumes_and_snapshots() -> None:
    pool = LogicalVolume("g", "pool", is_pool=True, chunk=256)
    assert lvm.lvcreate_command(pool, volumes.PoolSize(1024, 2)) == [
        "lvcreate", "--yes", "--type", "thin-pool", "--poolmetadatasize", "8192K",
        "--chunksize", "256K", "--extents", "1024", "--name", "pool", "g",
    ]  # fmt: skip
    assert lvm.lvcreate_command(LogicalVolume("g", "root", pool="pool"), 25, 8192) == [
        "lvcreate", "--yes", "--wipesignatures", "n", "--type", "thin", "--virtualsize", "204800K", "--thinpool",
        "pool", "--name", "root", "g",
    ]  # fmt: skip


def test_an_array_with_a_spare_and_its_chunks() -> None:
    array = Array("/", "root", 5, ("raid.1", "raid.2", "raid.3", "raid.4"), spares=1, chunk=64)
    command = raid.create_command(array, ["/dev/vda1", "/dev/vdb1", "/dev/vdc1", "/dev/vdd1"], str(uuid4()))
    assert {"--level=5", "--raid-devices=3", "--spare-devices=1", "--chunk=64", "--assume-clean"} <= set(command)


def test_cryptsetup_encrypts_with_costs_that_do_not_depend_on_the_machine(tmp_path: Path) -> None:
    path, uuid = image(tmp_path), str(uuid4())
    command = luks.format_command(str(path), uuid)
    CommandRunner(lambda _: None).run(command, input="correct horse")
    header = subprocess.check_output(["cryptsetup", "luksDump", path], env=SBIN, text=True)
    assert re.search(rf"UUID:\s+{uuid}", header)
    assert re.search(r"offset: 16777216 \[bytes\]", header)
    assert re.search(r"sector: 512 \[bytes\]", header)
    assert re.search(r"PBKDF: +argon2id\s+Time cost: +4\s+Memory: +65536\s+Threads: +1\n", header)
    opens = ["cryptsetup", "open", "--test-passphrase", "--key-file=-", path]
    assert subprocess.run(opens, input=b"correct horse", env=SBIN).returncode == 0
    assert subprocess.run(opens, input=b"wrong", env=SBIN, capture_output=True).returncode != 0


def test_the_passphrase_is_in_no_log_and_in_no_traceback(tmp_path: Path) -> None:
    log: list[str] = []
    one = Encrypted("pv.1", "a very secret phrase", line=3)
    with pytest.raises(InstallError, match="cryptsetup ended with exit status"):
        luks.make(CommandRunner(log.append), [one], {"pv.1": str(tmp_path / "missing")}, DiskIdentity("5e" * 32))
    assert any("cryptsetup luksFormat" in line for line in log)
    assert "secret" not in "".join([*log, repr(one), repr(Storage(encrypted=(one,)))])


def test_the_guest_is_told_what_to_unlock(tmp_path: Path) -> None:
    target = Target(tmp_path, CommandRunner(lambda _: None))
    with pytest.raises(InstallError, match="encryption needs the package cryptsetup-initramfs"):
        luks.describe(target, ["3f1f"])
    target.write("/usr/share/initramfs-tools/hooks/cryptroot", "")
    luks.describe(target, ["3f1f"])
    assert target.read("/etc/crypttab").splitlines()[1:] == ["luks-3f1f UUID=3f1f none luks,discard,initramfs"]


VERSIONS = {
    "ext4": ("mke2fs 1.46.2 (28-Feb-2021)", "mke2fs 1.47.0 (5-Feb-2023)"),
    "xfs": ("mkfs.xfs version 6.1.0", "mkfs.xfs version 7.2.0"),
    "btrfs": ("mkfs.btrfs, part of btrfs-progs v6.2", "mkfs.btrfs, part of btrfs-progs v7.3"),
}


@pytest.mark.parametrize("fstype", VERSIONS)
def test_features_are_switched_off_by_the_version_that_knows_them(fstype: str) -> None:
    class Answers(CommandRunner):
        def run(self, argv: Any, **options: Any) -> Result:
            return Result(0, self.answer)

    commands = Answers(lambda _: None)
    old, new = VERSIONS[fstype]
    commands.answer = old
    assert readable.options(commands, fstype) == ()
    commands.answer = new
    assert readable.options(commands, fstype)
    commands.answer = "unknown"
    assert readable.options(commands, fstype) == ()


@pytest.mark.parametrize("fstype", ["xfs", "btrfs", "ext4", "ext3", "ext2"])
def test_the_mkfs_of_this_host_takes_the_features_and_the_words_of_the_kickstart(tmp_path: Path, fstype: str) -> None:
    path, commands = image(tmp_path, 400), CommandRunner(lambda _: None)
    words = {"xfs": ("-i", "size=1024"), "btrfs": ("-m", "single")}.get(fstype, ("-N", "1024"))
    file_system = FileSystem("/x", fstype, mkfs=words)
    commands.run(filesystems.mkfs_command(file_system, str(path), str(uuid4()), readable.options(commands, fstype)))
    assert f"TYPE={fstype}" in subprocess.check_output(["blkid", "-o", "export", path], env=SBIN, text=True)
