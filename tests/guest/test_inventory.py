"""The contents of a guest's disks, as reported by the appliance's kernel and udev."""

from __future__ import annotations

import pytest

from imagebuild.guest.inventory import parsed

BUS = (
    "/sys/block/sda/device/scsi_disk/0:0:{}:0 /sys/block/sdb/device/scsi_disk/0:0:{}:0 "
    "/sys/block/sdc/device/scsi_disk/0:0:2:0\n"
)
NUMBERS = "".join(
    f"/sys/class/block/{name}/dev:{number}\n"
    for name, number in {
        "loop0": "7:0",
        "sda": "8:0",
        "sda1": "8:1",
        "sda10": "8:10",
        "sda2": "8:2",
        "sdb": "8:16",
        "sdc": "8:32",
    }.items()
)
ROOT = "/proc/self/mountinfo:23 1 8:32 / / rw,noatime - ext2 /dev/root rw\n"
TYPES = "".join(
    f"/run/udev/data/b{number}:E:ID_FS_TYPE={name}\n"
    for number, name in {"8:1": "vfat", "8:2": "ext4", "8:16": "xfs", "8:32": "ext2"}.items()
)


def test_in_the_order_of_the_bus() -> None:
    assert parsed(BUS.format(0, 1) + NUMBERS + ROOT + TYPES) == {
        "/dev/sda1": "vfat",
        "/dev/sda2": "ext4",
        "/dev/sda10": "",
        "/dev/sdb": "xfs",
    }
    swapped = parsed(BUS.format(1, 0) + NUMBERS + ROOT + TYPES)
    assert swapped == {"/dev/sdb1": "vfat", "/dev/sdb2": "ext4", "/dev/sdb10": "", "/dev/sda": "xfs"}


@pytest.mark.parametrize(
    "more",
    [
        "/sys/class/block/dm-0/dev:253:0\n",
        "/sys/class/block/md127/dev:9:127\n",
        "/sys/class/block/vda/dev:252:0\n",
        "/run/udev/data/b8:10:E:ID_FS_TYPE=LVM2_member\n",
        "/run/udev/data/b8:10:E:ID_FS_TYPE=linux_raid_member\n",
        "/run/udev/data/b8:10:E:ID_FS_TYPE=crypto_LUKS\n",
    ],
)
def test_volumes_are_left_to_the_other_way(more: str) -> None:
    assert parsed(BUS.format(0, 1) + NUMBERS + more + ROOT + TYPES) is None


def test_what_is_not_understood_is_left_to_the_other_way() -> None:
    assert parsed("") is None
    assert parsed(BUS.format(0, 1) + NUMBERS + TYPES) is None
