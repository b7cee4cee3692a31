"""What is told of disks that hold no Linux system."""

from __future__ import annotations

from typing import Any, cast

import pytest

from imagebuild.errors import GuestError
from imagebuild.guest import find_root


class Disks:
    """As much of libguestfs as it takes to look for a root file system: none of the file systems has one."""

    def __init__(self, *types: str) -> None:
        self.types = {f"/dev/sda{number}": fstype for number, fstype in enumerate(types, start=1)}

    def list_partitions(self) -> list[str]:
        return list(self.types)

    def vfs_type(self, device: str) -> str:
        return self.types[device]

    def __getattr__(self, name: str) -> Any:
        nothing = {"exists": False, "mount_ro": None, "umount_all": None, "part_to_dev": "/dev/sda", "luks_uuid": "1"}
        lists = ("list_devices", "list_md_devices", "list_dm_devices", "lvs")
        return lambda *_args: [] if name in lists else nothing[name]


@pytest.mark.parametrize(
    ("types", "told"),
    [
        (["vfat", "ext4", "crypto_LUKS"], "/dev/sda3 in this guest is encrypted with LUKS"),
        (["vfat", "", "ntfs", "ntfs"], "Windows"),
        (["vfat", "BitLocker"], "Windows"),
        (["iso9660", "vfat"], "installation or live medium"),
        (["", ""], "is empty"),
        (["ext4", "swap"], "no root file system"),
    ],
)
def test_the_reason_is_told(types: list[str], told: str) -> None:
    with pytest.raises(GuestError, match=told):
        find_root(cast("Any", Disks(*types)))
