"""What is mounted according to /etc/fstab, and how it identifies a device."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.guest import fstab, layout

TEXT = """\
# <file system> <mount point> <type> <options> <dump> <pass>
UUID=0a1b / ext4 errors=remount-ro 0 1
LABEL="data" /srv/my\\040data xfs nofail,noatime 0 2
/dev/vda1\t/boot\text4
tmpfs /tmp tmpfs size=1G 0 0
server:/export /mnt nfs defaults 0 0
/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0
/swapfile none swap sw 0 0
UUID=2c3d none swap sw 0 0
/srv/data /home none bind 0 0
broken
"""


def test_local_file_systems_outer_ones_first() -> None:
    found = [(entry.spec, entry.mountpoint) for entry in fstab.parse(TEXT) if entry.on_a_local_disk]
    assert found == [("UUID=0a1b", "/"), ("/dev/vda1", "/boot"), ('LABEL="data"', "/srv/my data")]


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ("UUID=0a1b", ("UUID", "0a1b")),
        ('LABEL="root"', ("LABEL", "root")),
        ("PARTUUID=0a1b-01", ("PARTUUID", "0a1b-01")),
        ("PARTLABEL=esp", ("PARTLABEL", "esp")),
        ("/dev/disk/by-uuid/0a1b", ("UUID", "0a1b")),
        ("/dev/disk/by-partlabel/esp", ("PARTLABEL", "esp")),
        ("/dev/disk/by-id/virtio-1", ("hardware", "")),
        ("/dev/disk/by-path/pci-0000:00:07.0-part3", ("hardware", "3")),
        ("/dev/disk/by-id/dm-uuid-LVM-x", ("device", "/dev/disk/by-id/dm-uuid-LVM-x")),
        ("/dev/nvme0n1p2", ("device", "/dev/sda2")),
        ("/dev/nvme27n1p2", ("device", "/dev/sdab2")),
        ("/dev/nvme0n2p2", ("device", "/dev/nvme0n2p2")),
        ("/dev/mmcblk1", ("device", "/dev/sdb")),
        ("/dev/disk/by-label/a\\x2fb\\xc3\\xa4", ("LABEL", "a/bä")),
        ("/dev/vda2", ("device", "/dev/sda2")),
        ("/dev/xvda1", ("device", "/dev/sda1")),
        ("/dev/vdb", ("device", "/dev/sdb")),
        ("/dev/sdb1", ("device", "/dev/sdb1")),
        ("/dev/mapper/vg-root", ("device", "/dev/mapper/vg-root")),
    ],
)
def test_identifier(spec: str, found: tuple[str, str]) -> None:
    assert fstab.identifier(spec) == found


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    for entry in fstab.parse(text):
        fstab.identifier(entry.spec)


@pytest.mark.parametrize(
    ("options", "local", "optional"),
    [
        ("defaults", True, False),
        ("noauto", False, True),
        ("noauto,x-systemd.automount", True, True),
        ("nofail", True, True),
        ("bind", False, False),
    ],
)
def test_what_is_mounted(options: str, local: bool, optional: bool) -> None:
    (entry,) = fstab.parse(f"/dev/vda1 /srv ext4 {options} 0 0\n")
    assert (entry.on_a_local_disk, entry.may_be_missing) == (local, optional)


def test_subvolumes_of_a_btrfs() -> None:
    text = (
        "UUID=a / btrfs defaults,subvol=root,compress=zstd:1 0 0\nUUID=b /x ext4 subvol=x 0 0\nUUID=a /y "
        "btrfs defaults 0 0\n"
    )
    assert [(entry.subvolume, entry.on_a_local_disk) for entry in fstab.parse(text)] == [
        ("subvol=root", True), ("", True), ("", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "fstype", "mounted"),
    [
        ("", "ext4", "noinit_itable"),
        ("a,b", "ext4", "a,b,noinit_itable"),
        ("subvol=x", "btrfs", "subvol=x"),
        ("", None, ""),
    ],
)
def test_ext4_is_mounted_so_that_it_writes_nothing_of_its_own_accord(
    options: str, fstype: str | None, mounted: str
) -> None:
    assert layout._quietly(options, fstype) == mounted
