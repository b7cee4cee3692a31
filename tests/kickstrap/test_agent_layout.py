"""The layout of partitions, how they share free space, and what fits where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.kickstrap.agent import autopart, firmware, kickstart, layout, storage_reader, volumes
from imagebuild.kickstrap.agent.disks import ESP, LogicalVolume, Partition, Storage, VolumeGroup
from imagebuild.kickstrap.agent.errors import StorageError
from imagebuild.kickstrap.agent.layout import Placed
from imagebuild.kickstrap.agent.machine import TargetMachine, disk_number
from imagebuild.kickstrap.agent.machine import firmware as named_firmware

GIB = 1024


def storage(*lines: str) -> Storage:
    """The storage of these lines; clearpart and a payload are added."""
    clearpart = () if any(line.startswith("clearpart") for line in lines) else ("clearpart --all",)
    return storage_reader.make(kickstart.parse("\n".join([*lines, *clearpart, "liveimg --url=file:///payload"]) + "\n"))


def laid_out(machine: TargetMachine, *lines: str) -> tuple[Storage, list[Placed]]:
    whole = autopart.complete(storage(*lines), machine)
    placed = layout.place(whole, machine)
    volumes.check_fits(whole, placed)
    firmware.check(whole, placed, machine)
    return whole, placed


def table(placed: list[Placed]) -> list[tuple[str, int, int]]:
    """Name, disk and size of each partition."""
    return [(one.partition.name, one.disk, one.size) for one in placed]


def test_one_file_system_takes_the_disk() -> None:
    assert layout.sizes([Partition("/", 1024, grow=True)], 4096) == [4095]
    assert layout.sizes([Partition("/", 1024, grow=True)], 4096, "gpt") == [4094]


def test_a_partition_that_does_not_grow_keeps_its_size() -> None:
    assert layout.sizes([Partition("/", 1024), Partition("/var", 10)], 4096) == [1024, 10]


def test_growth_is_shared_in_proportion_and_up_to_the_limit() -> None:
    wanted = [
        Partition("/", 100, grow=True),
        Partition("/var", 200, grow=True, maxsize=250),
        Partition("/srv", 300, grow=True),
    ]
    root, var, srv = layout.sizes(wanted, 2001)
    assert var == 250
    # each end is rounded down to a MiB, as with Anaconda
    assert root + srv == 1749
    assert srv > root > 100


partitions = st.lists(
    st.builds(
        lambda size, grow, more: Partition("/x", size, grow=grow, maxsize=size + more if more else 0),
        st.integers(1, 5000),
        st.booleans(),
        st.integers(0, 3000),
    ),
    min_size=1,
    max_size=4,
)


@given(partitions, st.integers(2, 40_000))
def test_sizes_fit_and_grow_to_use_all_free_space(wanted: list[Partition], disk: int) -> None:
    room = disk - layout.FIRST
    if sum(part.size for part in wanted) > room:
        with pytest.raises(StorageError):
            layout.place(Storage(tuple(wanted)), TargetMachine((disk,)))
        return
    got = layout.sizes(wanted, disk)
    assert sum(got) <= room
    for part, size in zip(wanted, got, strict=True):
        assert size == part.size if not part.grow else part.size <= size <= (part.maxsize or room)
    lost = sum(part.grow for part in wanted)  # each end is rounded down
    can_grow = any(
        part.grow and (not part.maxsize or size < part.maxsize) for part, size in zip(wanted, got, strict=True)
    )
    assert sum(got) >= room - lost or not can_grow


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("vda", 0),
        ("/dev/sdb", 1),
        ("hdc", 2),
        ("xvda", 0),
        ("disk/by-id/virtio-target", 0),
        ("/dev/disk/by-id/virtio-target3", 2),
        ("disk/by-id/scsi-0QEMU_QEMU_HARDDISK_target2", 1),
        ("vda1", None),
        ("nvme0n1", None),
        ("disk/by-path/pci-0000", None),
        ("disk/by-id/virtio-target0", None),
    ],
)
def test_names_of_disks(name: str, number: int | None) -> None:
    assert disk_number(name) == number


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("console=ttyS0 kickstrap.firmware=uefi quiet", "uefi"),
        ("kickstrap.firmware=uefi-secure", "uefi-secure"),
        ("quiet", "bios"),
        ("x.kickstrap.firmware=uefi kickstrap.firmware=uefix", "bios"),
    ],
)
def test_the_firmware_is_named_on_the_kernels_command_line(line: str, expected: str) -> None:
    assert named_firmware(line) == expected


def test_partitions_are_placed_on_the_named_disk_or_where_anaconda_would() -> None:
    _, placed = laid_out(
        TargetMachine((1000, 4000)),
        "part / --size=800",
        "part /var --size=500",
        "part /srv --size=100 --grow",
        "part /a --size=50 --ondisk=vdb",
    )
    assert table(placed) == [("/", 0, 800), ("/a", 1, 50), ("/var", 1, 500), ("/srv", 1, 3449)]
    assert [(one.number, one.start) for one in placed] == [(1, 1), (1, 1), (2, 51), (3, 551)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [("ignoredisk --drives=vda", [1]), ("ignoredisk --only-use=sdb", [1]), ("clearpart --all --drives=vda", [0])],
)
def test_excluded_disks(line: str, expected: list[int]) -> None:
    whole, placed = laid_out(TargetMachine((2000, 2000)), "part / --size=800", line)
    assert layout.usable(whole, TargetMachine((2000, 2000))) == expected
    assert [one.disk for one in placed] == expected


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["part / --size=1024 --grow"], r"line 1: part /: the partitions need 1024 MiB, but the disk vda has 999 MiB"),
        (["part / --size=10 --ondisk=vdc"], r"line 1: part /: there is no disk vdc; the machine has vda, vdb"),
        (["part / --size=10 --ondisk=vda", "ignoredisk --only-use=vdb"], "excludes vda"),
        (["part / --size=10", "ignoredisk --drives=vda,vdb"], "leave no disk to install to"),
        (["part / --size=10", "ignoredisk --drives=vdq"], "ignoredisk: there is no disk vdq"),
        (
            [
                "clearpart --all --disklabel=msdos",
                *(f"part {place} --size=10 --ondisk=vda" for place in ("/", "/a", "/b", "/c", "/d")),
            ],
            "line 6: part: there are more than 4 partitions",
        ),
        (
            ["part / --size=10", "part pv.1 --size=100", "volgroup g pv.1", "logvol /x --vgname=g --name=x --size=97"],
            "line 4: logvol g/x: the volumes need 100 MiB, but the group g has 96 MiB",
        ),
        (
            ["part raid.1 --size=10", "part raid.2 --size=10", "raid / --level=1 --device=md0 raid.1 raid.2"],
            "line 3: raid /: two of its members are on the same disk",
        ),
        (["clearpart --all --disklabel=gpt", "part / --size=10"], "GRUB for BIOS needs a biosboot partition on vda"),
        (
            [
                "clearpart --all --disklabel=gpt",
                "part biosboot --size=1",
                "part raid.1 --size=10 --ondisk=vda",
                "part raid.2 --size=10 --ondisk=vdb",
                "raid / --level=1 --device=md0 raid.1 raid.2",
            ],
            "GRUB for BIOS needs a biosboot partition on vdb",
        ),
    ],
)
def test_what_does_not_fit_is_reported_with_its_line(lines: list[str], message: str) -> None:
    with pytest.raises(StorageError, match=message):
        laid_out(TargetMachine((1000, 1000)), *lines)


def test_uefi_needs_an_efi_system_partition() -> None:
    with pytest.raises(StorageError, match="firmware is UEFI, but there is no EFI system partition"):
        laid_out(TargetMachine((1000,), "uefi"), "part / --size=10")
    with pytest.raises(StorageError, match="GRUB for BIOS needs a biosboot partition"):
        laid_out(TargetMachine((1000,)), "part / --size=10", "part /boot/efi --fstype=efi --size=50")


def test_uefi_needs_a_gpt() -> None:
    with pytest.raises(StorageError, match="line 1: UEFI needs a GPT"):
        laid_out(TargetMachine((4096,), "uefi"), "clearpart --all --disklabel=msdos", "autopart")


def test_without_a_boot_loader_the_firmware_does_not_matter() -> None:
    machine = TargetMachine((1000,), "uefi")
    whole, placed = laid_out(machine, "part / --size=10", "bootloader --location=none")
    assert firmware.start(whole, placed, machine) == firmware.BootLoaders((), efi=False)


def test_a_disk_that_both_firmwares_can_boot() -> None:
    lines = ("part biosboot --size=1", "part /boot/efi --fstype=efi --size=50", "part / --size=10 --grow")
    whole, placed = laid_out(TargetMachine((1000,)), *lines)
    assert whole.label == "gpt"
    assert firmware.start(whole, placed, TargetMachine((1000,))) == firmware.BootLoaders((0,), efi=True)
    assert firmware.start(whole, placed, TargetMachine((1000,), "uefi-secure")) == firmware.BootLoaders(
        (0,), efi=True, secure=True
    )


def test_a_mirror_boots_from_each_of_its_disks() -> None:
    machine = TargetMachine((1000, 1000, 1000))
    whole, placed = laid_out(
        machine,
        "part raid.1 --size=100 --ondisk=vda",
        "part raid.2 --size=100 --ondisk=vdc",
        "part raid.3 --size=100 --ondisk=vda",
        "part raid.4 --size=100 --ondisk=vdb",
        "raid /boot --level=1 --device=boot raid.1 raid.2",
        "raid pv.1 --level=1 --device=rest raid.3 raid.4",
        "volgroup system pv.1",
        "logvol / --vgname=system --name=root --size=10 --grow",
    )
    assert firmware.start(whole, placed, machine) == firmware.BootLoaders((0, 2), efi=False)


def test_another_boot_drive() -> None:
    machine = TargetMachine((1000, 1000))
    whole, placed = laid_out(machine, "part / --size=10", "bootloader --boot-drive=vdb")
    assert firmware.start(whole, placed, machine).bios == (1,)


def test_logical_volumes_grow_into_their_group() -> None:
    wanted = [
        LogicalVolume("g", "fixed", 10),
        LogicalVolume("g", "tenth", percent=10),
        LogicalVolume("g", "rest", 1, grow=True),
        LogicalVolume("g", "some", 1, grow=True, maxsize=8),
    ]
    # a tenth of what the others leave, less one extent
    expected = {"g/fixed": 3, "g/tenth": 9, "g/rest": 86, "g/some": 2}
    assert volumes.volume_extents(VolumeGroup("g", ("pv.1",)), wanted, 100) == expected


def test_more_partitions_than_a_dos_label_allows_get_a_gpt() -> None:
    lines = [f"part {place} --size=10" for place in ("/", "/a", "/b", "/c", "/d")]
    whole, placed = laid_out(TargetMachine((1000,)), *lines)
    assert whole.label == "gpt"
    assert [one.partition.name for one in placed] == ["biosboot", "/", "/a", "/b", "/c", "/d"]


def test_a_pool_too_small_for_its_volumes_grows_to_them_and_one_that_cannot_is_reported() -> None:
    pool = LogicalVolume("g", "pool", 10, is_pool=True, line=3)
    thin = LogicalVolume("g", "root", 100, pool="pool")
    group = VolumeGroup("g", ("pv.1",))
    assert volumes.volume_extents(group, [pool, thin], 100) == {"g/pool": volumes.PoolSize(25, 1), "g/root": 25}
    with pytest.raises(StorageError, match="line 3: logvol g/pool: the volumes need 100 MiB"):
        volumes.volume_extents(group, [pool, thin], 26)


def test_an_encrypted_member_has_less_room() -> None:
    lines = ["part /boot --size=10", "part pv.1 --size=216 --encrypted --passphrase=x", "volgroup g pv.1"]
    laid_out(TargetMachine((1000,)), *lines, "logvol / --vgname=g --name=root --size=196")
    with pytest.raises(StorageError, match="the volumes need 200 MiB, but the group g has 196 MiB"):
        laid_out(TargetMachine((1000,)), *lines, "logvol / --vgname=g --name=root --size=200")


def test_sfdisk_scripts() -> None:
    placed = [
        Placed(Partition("/boot", kind="linux"), 0, 1, 1, 10),
        Placed(Partition("pv.1", kind="lvm"), 0, 2, 11, 20),
    ]
    uuids = [f"1234abc{number}-0c1e-4a6d-9f0e-6d1f3c1b2a3d" for number in range(3)]
    assert layout.sfdisk_script(placed, "msdos", "/boot", uuids).splitlines() == [
        "label: dos",
        "label-id: 0x1234abc0",
        "unit: sectors",
        "",
        "start=2048, size=20480, type=83, bootable",
        "start=22528, size=40960, type=8e",
    ]
    gpt = layout.sfdisk_script(placed, "gpt", "/boot", uuids).splitlines()
    assert gpt[:2] == ["label: gpt", f"label-id: {uuids[0]}"]
    assert gpt[4].endswith(f", uuid={uuids[1]}")
    assert not any("bootable" in line for line in gpt)


# autopart and reqpart


def test_autopart_plain() -> None:
    whole, placed = laid_out(TargetMachine((4 * GIB,)), "autopart --type=plain")
    assert table(placed) == [("/boot", 0, 1024), ("swap", 0, 409), ("/", 0, 2662)]
    assert [(fs.mountpoint, fs.fstype) for fs in whole.file_systems] == [
        ("/boot", "ext4"), ("/", "ext4"), ("swap", "swap"),
    ]  # fmt: skip


def test_autopart_lvm_on_two_disks_for_uefi() -> None:
    machine = TargetMachine((4 * GIB, 2 * GIB), "uefi")
    whole, placed = laid_out(machine, "autopart --fstype=xfs --noswap")
    assert table(placed) == [(ESP, 0, 600), ("/boot", 0, 1024), ("pv.1", 0, 2470), ("pv.2", 1, 2046)]
    assert whole.groups[0].members == ("pv.1", "pv.2")
    assert [(fs.mountpoint, fs.fstype, fs.on) for fs in whole.file_systems] == [
        (ESP, "vfat", ESP),
        ("/boot", "xfs", "/boot"),
        ("/", "xfs", "system/root"),
    ]


def test_autopart_btrfs_with_everything_left_out() -> None:
    whole, placed = laid_out(TargetMachine((4 * GIB,)), "autopart --type=btrfs --noswap --noboot --nohome")
    assert table(placed) == [("btrfs.1", 0, 4095)]
    assert [(fs.mountpoint, fs.subvolume) for fs in whole.file_systems] == [("/", "root")]


@pytest.mark.parametrize("scheme", ["plain", "lvm", "btrfs"])
def test_a_home_where_50_gib_are_free(scheme: str) -> None:
    large, _ = laid_out(TargetMachine((100 * GIB,)), f"autopart --type={scheme}")
    assert "/home" in large.mountpoints
    small, _ = laid_out(TargetMachine((20 * GIB,)), f"autopart --type={scheme}")
    assert "/home" not in small.mountpoints
    none, _ = laid_out(TargetMachine((100 * GIB,)), f"autopart --type={scheme} --nohome")
    assert "/home" not in none.mountpoints


def test_autopart_makes_a_biosboot_partition_on_a_gpt() -> None:
    _, placed = laid_out(TargetMachine((4 * GIB,)), "clearpart --all --disklabel=gpt", "autopart --type=plain --noboot")
    assert [one.partition.name for one in placed] == ["biosboot", "swap", "/"]


def test_a_disk_too_small_for_autopart() -> None:
    with pytest.raises(
        StorageError, match=r"line 1: part pv\.1: the partitions need 1524 MiB, but the disk vda has 1499"
    ):
        laid_out(TargetMachine((1500,)), "autopart")


@pytest.mark.parametrize(
    ("machine", "line", "expected"),
    [
        (TargetMachine((4096,)), "reqpart", ["/"]),
        (TargetMachine((4096,)), "reqpart --add-boot", ["/boot", "/"]),
        (TargetMachine((4096,), "uefi"), "reqpart", [ESP, "/"]),
    ],
)
def test_reqpart(machine: TargetMachine, line: str, expected: list[str]) -> None:
    _, placed = laid_out(machine, line, "part / --size=100 --grow")
    assert [one.partition.name for one in placed] == expected
