"""Finding the root file system without inspection."""

from __future__ import annotations

import pytest

from imagebuild.errors import GuestError
from imagebuild.guest import RootFilesystem, find_root
from imagebuild.guest.calls import Translated
from tests.operations.memory import Node, with_folders
from tests.operations.real import Scratch

pytestmark = pytest.mark.guestfs
A_ROOT = with_folders({"/etc/os-release": Node("file", 0o644, b"ID=debian\n")})
NO_ROOT = with_folders({"/data/file": Node("file", 0o644, b"")})


def test_the_only_root(ext4: Scratch, xfs: Scratch) -> None:
    with ext4.filled(NO_ROOT):
        pass
    with xfs.filled(A_ROOT):
        pass
    assert find_root(Translated(ext4.handle)) == RootFilesystem("/dev/sdb")


def test_two_roots(ext4: Scratch, xfs: Scratch) -> None:
    for scratch in (ext4, xfs):
        with scratch.filled(A_ROOT):
            pass
    with pytest.raises(GuestError, match="more than one root file system: /dev/sda, /dev/sdb"):
        find_root(Translated(ext4.handle))


def test_no_root(ext4: Scratch, xfs: Scratch) -> None:
    for scratch in (ext4, xfs):
        with scratch.filled(NO_ROOT):
            pass
    with pytest.raises(GuestError, match="no root file system"):
        find_root(Translated(ext4.handle))


def test_a_root_in_a_subvolume(ext4: Scratch, xfs: Scratch) -> None:
    with ext4.filled(NO_ROOT):
        pass
    guestfs = Translated(xfs.handle)
    try:
        xfs.handle.mkfs("btrfs", "/dev/sdb")
        guestfs.mount("/dev/sdb", "/")
        guestfs.btrfs_subvolume_create("/system")
        guestfs.mkdir("/system/etc")
        guestfs.write("/system/etc/fstab", b"UUID=x / btrfs subvol=system 0 0\n")
        guestfs.mkdir("/system/.snapshots")
        guestfs.btrfs_subvolume_snapshot("/system", "/system/.snapshots/1")
        guestfs.umount_all()
        assert find_root(guestfs) == RootFilesystem("/dev/sdb", "subvol=system")
        guestfs.mount("/dev/sdb", "/")
        ids = {one["btrfssubvolume_path"]: one["btrfssubvolume_id"] for one in guestfs.btrfs_subvolume_list("/")}
        guestfs.btrfs_subvolume_set_default(ids["system/.snapshots/1"], "/")
        guestfs.umount_all()
        assert find_root(guestfs) == RootFilesystem("/dev/sdb"), "the default subvolume is the one that boots"
    finally:
        guestfs.umount_all()
        xfs.handle.wipefs("/dev/sdb")
        xfs.handle.mkfs("xfs", "/dev/sdb")
