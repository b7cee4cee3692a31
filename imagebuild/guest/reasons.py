"""Why nothing can be done with a guest's disks: what is on them instead, and what its owner can do."""

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
    "zfs_member": ("ZFS, which libguestfs's appliance has not", _COPY_FILES),
    "bcache": (
        "a part of a bcache, which cannot be used without its cache",
        "detach the cache in the running guest first",
    ),
    "stratis": ("a part of a Stratis pool, which libguestfs's appliance does not set up", _COPY_FILES),
    "drbd": ("a DRBD volume, whose file system is used through DRBD", "use the image of the volume inside of it"),
    "DM_integrity": ("a dm-integrity volume, which libguestfs's appliance does not open", _COPY_FILES),
    "isw_raid_member": ("a part of a RAID of the machine's firmware", "use an image of the whole array"),
    "ddf_raid_member": ("a part of a RAID of the machine's firmware", "use an image of the whole array"),
    "VMFS_volume_member": ("VMware's file system for images, not a guest", "take the guest's image out of it"),
    "ceph_bluestore": ("an object store of Ceph, not a guest", "take the guest's image out of it"),
    "apfs": ("macOS's file system", "only Linux guests can be worked on"),
    "hfsplus": ("macOS's file system", "only Linux guests can be worked on"),
    "ufs": ("a BSD's file system", "only Linux guests can be worked on"),
}
"""blkid's names of what a root file system may be on, or in place of, and cannot be worked with."""
_OSTREE, _OSTREE_IN_SUBVOLUME = "/ostree/deploy/*/deploy/*", "/*/ostree/deploy/*/deploy/*"
_CORE = "/system-data/var/lib/snapd"


def type_of(guestfs: Any, device: str) -> str:
    """blkid's name of what is on a device; empty for nothing that is known, and for what cannot be read, such as a volume that is not active."""
    try:
        return str(guestfs.vfs_type(device))
    except GuestError:
        return ""


def check_kind(guestfs: Any, device: str, *, is_root: bool) -> None:
    """GuestError if what is mounted just now holds a system whose files are not where they are in others.

    ``is_root``: it has a root file system as others have it, whose folders may hold anything.
    """
    for pattern in (_OSTREE,) if is_root else (_OSTREE, _OSTREE_IN_SUBVOLUME):
        if found := guestfs.glob_expand(pattern, directoryslash=False):
            raise GuestError(
                f"{device} holds an OSTree or bootc system: its /etc and /var are below {found[0].rpartition('/deploy/')[0]}, and the rest is kept by "
                "its digest",
                "what such a system carries is changed where its image or its commit is built; imagebuild does not scrub it",
            )
    if not is_root and guestfs.exists(_CORE):
        raise GuestError(
            f"{device} holds an Ubuntu Core system, whose files are snaps with signatures",
            "build its image again with ubuntu-image; imagebuild does not scrub it",
        )


def check_writable(device: str, fstype: str) -> None:
    """GuestError if a root file system of this type cannot be changed."""
    if fstype in _READ_ONLY:
        raise GuestError(
            f"the root file system of this guest ({device}) is a {fstype}, which can only be read",
            "an image like this is changed where it is built",
        )


def not_mounted(guestfs: Any, device: str, error: GuestError, options: str = "ro", place: str = "/") -> GuestError:
    """Why the appliance did not mount a device with these options at this place: it is tried again, to hear what the kernel says of it."""
    fstype = type_of(guestfs, device)
    if not fstype:
        return error
    kernel = f"Linux {guestfs.utsname()['uts_release']}"
    newer = "libguestfs's appliance has the kernel of this host, or the one that SUPERMIN_KERNEL and SUPERMIN_MODULES name: a newer one is needed"
    words = features.kernels_words(_said(guestfs, device, options, place))
    if unknown := features.unknown(fstype, words):
        return GuestError(f"{device} ({fstype}) has features that {kernel} does not know: {unknown}", newer)
    if fstype not in _LINUX:
        return error
    if not guestfs.filesystem_available(fstype):
        return GuestError(
            f"{device} ({fstype}) is of a kind that {kernel}, that of libguestfs's appliance, does not know", newer
        )
    said = f": {words[-1]}" if words else f": {error.message}"
    if any(re.search(r"larger than|pagesize|block ?size", word, re.IGNORECASE) for word in words):
        hint = "file systems with blocks larger than 4 KiB are for machines with larger pages"
    else:
        hint = "it is damaged or incomplete: check it in the guest or with its own program, and try again"
    return GuestError(f"{device} ({fstype}) cannot be mounted by {kernel}{said}", hint)


def _said(guestfs: Any, device: str, options: str, place: str) -> str:
    """What the kernel logs when it is to mount a device. Not what it logged before: that may be about another one."""
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
    """The error for disks without a root file system: ``seen`` has blkid's name of what is on each device instead.

    ``refused`` says why some were not mounted, ``shut`` which LUKS devices are not open.
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
            return GuestError(f"{device} holds {what}", hint)
    if types & _WINDOWS:
        return GuestError(
            "this looks like a Windows guest; only Linux guests can be worked on",
            "Windows has sysprep for what a template needs",
        )
    if "iso9660" in types:
        return GuestError(
            "this is an installation or live medium, not the disk of an installed guest",
            "install a guest from it first",
        )
    if "linux_raid_member" in types and not guestfs.list_md_devices():
        return GuestError("the RAID array on these disks does not start", "name all disks that belong to it")
    if "LVM2_member" in types and (missing := _inactive(guestfs, seen)):
        return GuestError(
            f"LVM's {missing} cannot be used here",
            "name all disks of its volume group; thin volumes and caches need LVM's programs for them in libguestfs's appliance",
        )
    if not any(types):
        return table.nothing_there(guestfs)
    found = ", ".join(f"{device} {type_ or 'nothing'}" for device, type_ in seen.items())
    return GuestError(
        "there is no root file system on this disk: none of its file systems has an /etc/fstab or an os-release",
        f"there are: {found}",
    )


def _inactive(guestfs: Any, seen: Mapping[str, str]) -> str:
    """Which volumes are known by name and not to be read; the volume groups if there is not a single volume."""
    volumes = list(guestfs.lvs())
    idle = [one for one in volumes if not seen.get(one)]
    if volumes:
        return f"logical volume {', '.join(idle)}" if idle else ""
    groups = ", ".join(guestfs.vgs())
    return f"volume group {groups}" if groups else "physical volume without a volume group"
