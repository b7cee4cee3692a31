"""The errors for disks that contain no Linux system, or one that is not supported: each gives the
true reason."""

from __future__ import annotations

from typing import Any, cast

import pytest

from imagebuild.errors import GuestError
from imagebuild.guest import find_root

MIB = 1 << 20
XFS_LOG = """\
[    4.2] EXT4-fs (sda1): mounted filesystem with ordered data mode
[    5.1] XFS (sda2): Superblock has unknown incompatible features (0xc0) enabled.
[    5.1] XFS (sda2): Filesystem cannot be safely mounted by this kernel.
[    5.1] XFS (sda2): SB validate failed with error -22.
"""


class Disks:
    """The part of libguestfs that is needed to search for a root file system: none of the file
    systems has one."""

    def __init__(
        self, *types: str, log: str = "", begins: bytes = b"", found: tuple[str, ...] = (), **more: Any
    ) -> None:
        self.types = {f"/dev/sda{number}": fstype for number, fstype in enumerate(types, start=1)} or {"/dev/sda": ""}
        self.log = ""
        self.more = log
        self.begins = begins.ljust(MIB, b"\0")
        self.found = found
        self.answers: dict[str, Any] = {
            "utsname": {"uts_release": "6.1.0"}, "filesystem_available": True, "umount_all": None,
            "part_to_dev": "/dev/sda",
            "luks_uuid": "1", "list_md_devices": [], "list_dm_devices": [], "lvs": [], "vgs": [],
            "blockdev_getsize64": 8 * MIB,
            "blockdev_getss": 512, "exists": False, "vfs_uuid": "", "btrfs_subvolume_list": [],
            "list_devices": ["/dev/sda"], "debug": "",
            "list_partitions": [device for device in self.types if device != "/dev/sda"], **more,
        }  # fmt: skip

    def vfs_type(self, device: str) -> str:
        if device not in self.types:
            raise GuestError(f"libguestfs: vfs_type: {device}: No such file or directory")
        return self.types[device].lstrip("!")

    def mount_ro(self, device: str, place: str) -> None:
        if not self.vfs_type(device) or self.types[device].startswith("!"):
            raise GuestError("libguestfs: mount_ro: mount exited with status 32")

    def dmesg(self) -> str:
        return f"[ 1.0] EXT4-fs (sda9): unsupported optional features (1000)\n{self.log}"

    def mount_options(self, options: str, device: str, place: str) -> None:
        self.log = self.more
        self.mount_ro(device, place)

    def glob_expand(self, pattern: str, *, directoryslash: bool) -> list[str]:
        return [path for path in self.found if path.count("/") == pattern.count("/")]

    def pread_device(self, device: str, size: int, at: int) -> bytes:
        return self.begins[at : at + size]

    def __getattr__(self, name: str) -> Any:
        if name not in self.answers:
            raise AttributeError(name)
        answer = self.answers[name]
        return lambda *_args, **_named: answer


def gpt(size: int) -> bytes:
    """The first sectors of a disk whose partition table is for a disk of ``size`` bytes."""
    guard = bytearray(512)
    guard[450], guard[510:512] = 0xEE, b"\x55\xaa"
    return bytes(guard) + b"EFI PART".ljust(32, b"\0") + (size // 512 - 1).to_bytes(8, "little")


@pytest.mark.parametrize(
    ("disks", "said"),
    [
        (Disks("vfat", "ext4", "crypto_LUKS"), "^/dev/sda3 in this guest is encrypted with LUKS"),
        (Disks("vfat", "", "ntfs", "ntfs"), "Windows"),
        (Disks("vfat", "BitLocker"), "Windows"),
        (Disks("iso9660", "vfat"), "installation or live medium"),
        (Disks(""), "is partitioned, but none of its partitions has a file system"),
        (Disks(), "this disk is empty"),
        (Disks("ext4", "swap"), "no root file system"),
        (Disks("vfat", "!xfs", log=XFS_LOG),
         r"/dev/sda2 \(xfs\) has features that Linux 6.1.0 does not support: 0xc0 \(exchange-range, parent pointers\)"),
        (Disks("!ext4", log="[ 1.2] EXT4-fs (sda1): Couldn't mount because of unsupported optional features (20000)\n"),
         r"\(ext4\) has features that Linux 6.1.0 does not support: 0x20000 \(casefold\)"),
        (Disks("!btrfs", log="[ 1.2] BTRFS error (device sda1): cannot mount because of unknown incompat "
            "features (0x14000)\n"),
         r"\(btrfs\) has features .* 0x14000 \(raid stripe tree, simple quota\)"),
        (Disks("!xfs", log="[ 1.2] XFS (sda1): Filesystem needs repair.  Please run xfs_repair.\n"),
         r"/dev/sda1 \(xfs\) cannot be mounted by Linux 6.1.0: Filesystem needs repair"),
        (Disks("!xfs", log="[ 1.2] XFS (sda1): file system with blocksize 65536 bytes. Only pagesize (4096) or "
            "less will currently work.\n"),
         "cannot be mounted by Linux 6.1.0: file system with blocksize 65536"),
        (Disks("!ext4"), r"/dev/sda1 \(ext4\) cannot be mounted by Linux 6.1.0: libguestfs: mount_ro"),
        (Disks("!bcachefs", filesystem_available=False), r"/dev/sda1 \(bcachefs\) is not supported by Linux 6.1.0"),
        (Disks("vfat", "!zfs_member"), "/dev/sda2 contains ZFS"),
        (Disks("!bcache"), "/dev/sda1 contains a part of a bcache"),
        (Disks("apfs"), "macOS"),
        (Disks("ext4", found=("/ostree/deploy/fedora/deploy/1.0",)),
            "/dev/sda1 contains an OSTree or bootc system: .* below /ostree/deploy/fedora"),
        (Disks("btrfs", found=("/root/ostree/deploy/fedora/deploy/1.0",)), "OSTree"),
        (Disks("ext4", exists=True, found=("/ostree/deploy/fedora/deploy/1.0",)), "OSTree"),
        (Disks("squashfs", exists=True), "is squashfs, which is read-only"),
        (Disks("linux_raid_member"), "the RAID array on these disks does not start"),
        (Disks("LVM2_member", lvs=["/dev/vg/root"]), "the LVM logical volume /dev/vg/root cannot be used here"),
        (Disks("LVM2_member", vgs=["vg"]), "the LVM volume group vg cannot be used here"),
        (Disks(begins=gpt(64 * MIB)), (
            "this image is truncated: its partition table is for a disk of 67108864 "
            "bytes, but it has 8388608"
        )),
        (Disks(begins=gpt(8 * MIB)[:512]), "the partition table of /dev/sda is damaged"),
        (Disks(begins=b"\x28\xb5\x2f\xfd" + b"x" * 99), (
            "neither a known partition table nor a known file "
            "system; it begins with 28 b5 2f fd"
        )),
    ],
)  # fmt: skip
def test_the_reason_is_reported(disks: Disks, said: str) -> None:
    with pytest.raises(GuestError, match=said) as caught:
        find_root(cast("Any", disks))
    assert caught.value.hint, "there must be a hint"


def test_a_builder_of_ostree_systems_is_not_one() -> None:
    disks = Disks("ext4", exists=True, found=("/srv/ostree/deploy/x/deploy/1",))
    assert find_root(cast("Any", disks)).device == "/dev/sda1"


def test_two_systems() -> None:
    with pytest.raises(GuestError, match="more than one root file system: /dev/sda1, /dev/sda2") as caught:
        find_root(cast("Any", Disks("ext4", "ext4", exists=True)))
    assert caught.value.hint
