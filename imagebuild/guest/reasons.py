"""Why a guest's disks cannot be used: what is on them instead, and what their owner can do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from imagebuild.errors import GuestError
from imagebuild.guest import encryption, features, table

_LINUX = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "nilfs2", "reiserfs", "bcachefs", "squashfs", "erofs"}
)
_READ_ONLY = frozenset({"squashfs", "erofs", "cramfs", "romfs", "iso9660", "udf"})
_WINDOWS = frozenset({"ntfs", "BitLocker", "ReFS"})
_COPY_FILES = "copy the system to ext4, xfs or btrfs, or change it where it runs"
_OTHERS = {
    "zfs_member": ("ZFS, which the libguestfs appliance does not support", _COPY_FILES),
    "bcache": (
        "a part of a bcache device, which cannot be used without its cache",
        "detach the cache in the running guest first",
    ),
    "stratis": ("a part of a Stratis pool, which the libguestfs appliance does not support", _COPY_FILES),
    "drbd": ("a DRBD volume, whose file system is used through DRBD", "use an image of the volume inside it"),
    "DM_integrity": ("a dm-integrity volume, which the libguestfs appliance does not support", _COPY_FILES),
    "isw_raid_member": ("a part of a firmware RAID", "use an image of the whole array"),
    "ddf_raid_member": ("a part of a firmware RAID", "use an image of the whole array"),
    "VMFS_volume_member": ("VMware's file system for images, not a guest", "extract the image of the guest from it"),
    "ceph_bluestore": ("an object store of Ceph, not a guest", "extract the image of the guest from it"),
    "apfs": ("a macOS file system", "only Linux guests are supported"),
    "hfsplus": ("a macOS file system", "only Linux guests are supported"),
    "ufs": ("a BSD file system", "only Linux guests are supported"),
}
"""blkid's names of unsupported contents that may be under, or in place of, a root file system."""
_OSTREE, _OSTREE_IN_SUBVOLUME = "/ostree/deploy/*/deploy/*", "/*/ostree/deploy/*/deploy/*"
_CORE = "/system-data/var/lib/snapd"


def type_of(guestfs: Any, device: str) -> str:
    """blkid's name of what is on a device; empty if it is unknown or cannot be read, as with a
    volume that is not active."""
    try:
        return str(guestfs.vfs_type(device))
    except GuestError:
        return ""


def check_kind(guestfs: Any, device: str, *, is_root: bool) -> None:
    """GuestError if the currently mounted file system contains a system whose files are in unusual
    places.

    ``is_root`` means that it is also an ordinary root file system, whose folders may contain
    anything.
    """
    for pattern in (_OSTREE,) if is_root else (_OSTREE, _OSTREE_IN_SUBVOLUME):
        if found := guestfs.glob_expand(pattern, directoryslash=False):
            raise GuestError(
                f"{device} contains an OSTree or bootc system: its /etc and /var are below "
                f"{found[0].rpartition('/deploy/')[0]}, and everything else is stored by its digest",
                "change such a system where its image or commit is built; imagebuild does not scrub it",
            )
    if not is_root and guestfs.exists(_CORE):
        raise GuestError(
            f"{device} contains an Ubuntu Core system, whose files are signed snaps",
            "rebuild its image with ubuntu-image; imagebuild does not scrub it",
        )


def check_writable(device: str, fstype: str) -> None:
    """GuestError if a root file system of this type cannot be changed."""
    if fstype in _READ_ONLY:
        raise GuestError(
            f"the root file system of this guest ({device}) is {fstype}, which is read-only",
            "change such an image where it is built",
        )


def not_mounted(guestfs: Any, device: str, error: GuestError, options: str = "ro", place: str = "/") -> GuestError:
    """Why the appliance could not mount a device with these options at this place. The mount is
    repeated to get the kernel's messages."""
    fstype = type_of(guestfs, device)
    if not fstype:
        return error
    kernel = f"Linux {guestfs.utsname()['uts_release']}"
    newer = (
        "a newer kernel is needed: the libguestfs appliance uses the kernel of this host, "
        "or the one in SUPERMIN_KERNEL and SUPERMIN_MODULES"
    )
    words = features.kernels_words(_said(guestfs, device, options, place))
    if unknown := features.unknown(fstype, words):
        return GuestError(f"{device} ({fstype}) has features that {kernel} does not support: {unknown}", newer)
    if fstype not in _LINUX:
        return error
    if not guestfs.filesystem_available(fstype):
        return GuestError(
            f"{device} ({fstype}) is not supported by {kernel}, the kernel of the libguestfs appliance", newer
        )
    said = f": {words[-1]}" if words else f": {error.message}"
    if any(re.search(r"larger than|pagesize|block ?size", word, re.IGNORECASE) for word in words):
        hint = "file systems with blocks larger than 4 KiB are for machines with larger pages"
    else:
        hint = "it is damaged or incomplete: check it in the guest or with its own tools, and try again"
    return GuestError(f"{device} ({fstype}) cannot be mounted by {kernel}{said}", hint)


def _said(guestfs: Any, device: str, options: str, place: str) -> str:
    """The kernel's messages when a device is mounted, without earlier ones, which may be about a
    different device."""
    before = guestfs.dmesg()
    try:
        guestfs.mount_options(options, device, place)
    except GuestError:
        after = str(guestfs.dmesg())
        return after.removeprefix(before)
    guestfs.umount(place)
    return ""


def without_root(
    guestfs: Any, seen: Mapping[str, str], refused: Mapping[str, GuestError], shut: Sequence[str]
) -> GuestError:
    """The error for disks without a root file system: ``seen`` contains blkid's name of what is on
    each device instead.

    ``refused`` contains the reasons why some were not mounted, ``shut`` the LUKS devices that are
    locked.
    """
    for device, error in refused.items():
        if seen[device] in _LINUX:
            return error
    if shut:
        return encryption.locked(guestfs, shut)
    types = set(seen.values())
    for device, type_ in seen.items():
        if type_ in _OTHERS:
            what, hint = _OTHERS[type_]
            return GuestError(f"{device} contains {what}", hint)
    if types & _WINDOWS:
        return GuestError(
            "this looks like a Windows guest; only Linux guests are supported",
            "use Windows' own sysprep to make a template",
        )
    if "iso9660" in types:
        return GuestError(
            "this is an installation or live medium, not the disk of an installed guest",
            "install a guest from it first",
        )
    if "linux_raid_member" in types and not guestfs.list_md_devices():
        return GuestError("the RAID array on these disks does not start", "give all disks that belong to it")
    if "LVM2_member" in types and (missing := _inactive(guestfs, seen)):
        return GuestError(
            f"the LVM {missing} cannot be used here",
            "give all disks of its volume group; "
            "thin volumes and caches need the LVM programs for them in the libguestfs appliance",
        )
    if not any(types):
        return table.nothing_there(guestfs)
    found = ", ".join(f"{device} {type_ or 'nothing'}" for device, type_ in seen.items())
    return GuestError(
        "there is no root file system on this disk: none of its file systems contains /etc/fstab or os-release",
        f"found: {found}",
    )


def _inactive(guestfs: Any, seen: Mapping[str, str]) -> str:
    """The volumes whose names are known but that cannot be read; the volume groups if there are no
    volumes at all."""
    volumes = list(guestfs.lvs())
    idle = [one for one in volumes if not seen.get(one)]
    if volumes:
        return f"logical volume {', '.join(idle)}" if idle else ""
    groups = ", ".join(guestfs.vgs())
    return f"volume group {groups}" if groups else "physical volume without a volume group"
