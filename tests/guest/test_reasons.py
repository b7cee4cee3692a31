"""The errors for real disks that contain no system, or one that is not supported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from imagebuild.errors import GuestError
from imagebuild.guest import find_root
from imagebuild.guest.calls import Translated
from tests.appliance import appliance
from tests.volumes import partition, present, shell

pytestmark = pytest.mark.guestfs
SIZE = 192 << 20


@pytest.fixture(scope="module")
def handle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with appliance(tmp_path_factory.mktemp("appliance"), SIZE) as (g, _):
        yield g


def said(handle: Any) -> str:
    """The error about the missing root file system."""
    with pytest.raises(GuestError) as caught:
        find_root(Translated(handle))
    assert caught.value.hint
    return str(caught.value)


def test_disks_without_a_system(handle: Any) -> None:
    assert "this disk is empty" in said(handle)
    handle.pwrite_device("/dev/sda", b"\x28\xb5\x2f\xfd" + b"x" * 600, 0)
    assert "neither a known partition table nor a known file system" in said(handle)
    handle.zero("/dev/sda")
    partition(handle, "/dev/sda", (64, 64))
    assert "none of its partitions has a file system" in said(handle)
    handle.mkfs("ext4", "/dev/sda1")
    assert "there is no root file system" in said(handle)


def test_systems_whose_files_are_elsewhere(handle: Any) -> None:
    partition(handle, "/dev/sda", (64, 64))
    handle.mkfs("ext4", "/dev/sda1")
    handle.mount("/dev/sda1", "/")
    handle.mkdir_p("/ostree/deploy/fedora/deploy/12ab.0/etc")
    handle.umount_all()
    assert said(handle).startswith(
        "/dev/sda1 contains an OSTree or bootc system: its /etc and /var are below /ostree/deploy/fedora"
    )
    handle.mkfs("ext4", "/dev/sda1")
    handle.mount("/dev/sda1", "/")
    handle.mkdir_p("/system-data/var/lib/snapd")
    handle.umount_all()
    assert "Ubuntu Core" in said(handle)


def test_what_the_kernel_refuses(handle: Any) -> None:
    partition(handle, "/dev/sda", (64, 64))
    shell(handle, "mkfs.ext4 -q -F -O ^metadata_csum /dev/sda1")
    incompatible = int.from_bytes(handle.pread_device("/dev/sda1", 4, 1024 + 96), "little")
    handle.pwrite_device("/dev/sda1", (incompatible | 0x1000).to_bytes(4, "little"), 1024 + 96)
    assert "/dev/sda1 (ext4) has features that Linux" in (reason := said(handle))
    assert reason.endswith("0x1000 (dirdata)")
    handle.mkfs("ext4", "/dev/sda1")
    handle.pwrite_device("/dev/sda1", bytes(4096 - 2048), 2048)  # the group descriptors
    handle.pwrite_device("/dev/sda1", b"\xff" * 4096, 4096)
    assert "/dev/sda1 (ext4) cannot be mounted by Linux" in said(handle)


def test_incomplete_volumes(handle: Any) -> None:
    partition(handle, "/dev/sda", (64, 64))
    for device in ("/dev/sda1", "/dev/sda2"):
        handle.pvcreate(device)
    handle.vgcreate("data", ["/dev/sda1", "/dev/sda2"])
    handle.lvcreate("root", "data", 100)
    handle.mkfs("ext4", "/dev/data/root")
    handle.vg_activate_all(activate=False)
    shell(handle, "wipefs -qa /dev/sda2; udevadm settle; lvm pvscan -qq --cache || true")
    assert "cannot be used here" in said(handle)
    shell(handle, "wipefs -qa /dev/sda1")
    present(handle, "/dev/sda1")
