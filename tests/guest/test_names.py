"""The appliance's device for each name that a guest's fstab may have."""

from __future__ import annotations

from typing import Any, cast

import pytest

from imagebuild.errors import GuestError
from imagebuild.guest import names


class Appliance:
    """Two disks or one, with a few partitions, a RAID array and a FAT."""

    def __init__(self, *disks: str, arrays: dict[str, str] | None = None) -> None:
        self.disks = list(disks)
        self.arrays = arrays or {}

    def debug(self, _command: str, _arguments: list[str]) -> str:
        return ""  # nothing that the fast way would understand

    def list_devices(self) -> list[str]:
        return self.disks

    def list_partitions(self) -> list[str]:
        return [f"{disk}{number}" for disk in self.disks for number in (1, 2, 3)]

    def part_to_dev(self, partition: str) -> str:
        return partition[:-1]

    def lvs(self) -> list[str]:
        return ["/dev/vg/root"]

    def list_dm_devices(self) -> list[str]:
        return []

    def list_md_devices(self) -> list[str]:
        return list(self.arrays)

    def md_detail(self, device: str) -> dict[str, str]:
        return {"name": self.arrays[device]}

    def blkid(self, device: str) -> dict[str, str]:
        return {"PART_ENTRY_UUID": f"c2d1c03e-0{device[-1]}", "PART_ENTRY_NAME": f"part{device[-1]}"}

    def vfs_uuid(self, device: str) -> str:
        return "ABCD-1234" if device == "/dev/sda1" else ""

    def findfs_uuid(self, value: str) -> str:
        raise GuestError(f"libguestfs: findfs_uuid: unable to resolve 'UUID={value}'")

    def findfs_label(self, value: str) -> str:
        return {"my data": "/dev/sda3"}[value]


ONE = Appliance("/dev/sda", arrays={"/dev/md127": "host:boot"})
TWO = Appliance("/dev/sda", "/dev/sdb", arrays={"/dev/md126": "host:0", "/dev/md127": "host:boot"})


@pytest.mark.parametrize(
    ("spec", "device"),
    [
        ("/dev/nvme0n1p2", "/dev/sda2"),
        ("/dev/nvme1n1p1", "/dev/sdb1"),
        ("/dev/nvme1n1", "/dev/sdb"),
        ("/dev/mmcblk0p1", "/dev/sda1"),
        ("/dev/dasdb1", "/dev/sdb1"),
        ("/dev/xvda2", "/dev/sda2"),
        ("/dev/vg/root", "/dev/vg/root"),
        ("/dev/mapper/my--vg-root", "/dev/mapper/my--vg-root"),
        ("/dev/disk/by-id/dm-name-vg-root", "/dev/mapper/vg-root"),
        ("LABEL=my data", "/dev/sda3"),
        ("/dev/disk/by-label/my\\x20data", "/dev/sda3"),
        ("UUID=abcd-1234", "/dev/sda1"),
        ('UUID="ABCD-1234"', "/dev/sda1"),
        ("PARTUUID=C2D1C03E-02", "/dev/sda2"),
        ("/dev/disk/by-partlabel/part2", "/dev/sda2"),
        ("/dev/md0", "/dev/md126"),
        ("/dev/md/boot", "/dev/md127"),
        ("/dev/disk/by-id/md-name-host:boot", "/dev/md127"),
    ],
)
def test_a_name(spec: str, device: str) -> None:
    assert names.find(cast("Any", TWO), spec, {}) == device


@pytest.mark.parametrize(
    ("spec", "device"),
    [
        ("/dev/disk/by-id/virtio-1-part2", "/dev/sda2"),
        ("/dev/disk/by-path/pci-0000:00:07.0-part1", "/dev/sda1"),
        ("ID=nvme-x-part1", "/dev/sda1"),
        ("/dev/disk/by-path/pci-0000:00:07.0", "/dev/sda"),
        ("/dev/md9", "/dev/md127"),
    ],
)
def test_a_name_that_only_one_disk_can_have(spec: str, device: str) -> None:
    assert names.find(cast("Any", ONE), spec, {}) == device


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("/dev/disk/by-id/virtio-1-part2", "by the hardware of the machine, so it is not known which of the 2 images"),
        ("/dev/sdc1", "/dev/sdc1 is not on the given disks"),
        ("/dev/nvme0n2p1", "/dev/nvme0n2p1 is not on the given disks"),
        ("/dev/sda9", "/dev/sda9 is not on the given disks"),
        ("/dev/dm-0", "the kernel assigned when the guest was running"),
        ("/dev/md/other", "none of the guest's RAID arrays is called other"),
        ("PARTUUID=1", "no partition has PARTUUID 1"),
        ("UUID=1", "unable to resolve"),
    ],
)
def test_a_name_that_nothing_has(spec: str, said: str) -> None:
    with pytest.raises(GuestError, match=said):
        names.find(cast("Any", TWO), spec, {})


def test_names_of_several_kinds() -> None:
    names.check_disks(cast("Any", TWO), ["/dev/sda1", "/dev/sdb1", "UUID=1", "/dev/vg/root"])
    names.check_disks(cast("Any", ONE), ["/dev/sda1", "/dev/nvme0n1p1"])
    with pytest.raises(GuestError, match=r"disks of different kinds \(/dev/nvme0n1p1 and /dev/sda1\)"):
        names.check_disks(cast("Any", TWO), ["/dev/sda1", "/dev/nvme0n1p1"])
