"""Where a guest's root file system is, and what is mounted in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from imagebuild.errors import GuestError
from imagebuild.guest import encryption, fstab, inventory, names, reasons
from imagebuild.guest.block import devices
from imagebuild.log import logger

_CHUNK = 1 << 20
"""The number of bytes that are read of an fstab."""
_NO_FILE_SYSTEM = frozenset({"LVM2_member", "linux_raid_member", "swap", "crypto_LUKS"})
"""blkid's names for contents of a partition that cannot be mounted."""
_SNAPSHOTS = frozenset({".snapshots", "timeshift-btrfs"})
"""Folders where snapper and Timeshift store earlier states of a system."""


class RootFilesystem(NamedTuple):
    """Where a guest's root file system is: a device of the appliance, and its mount options."""

    device: str
    options: str = ""


_SUSPENDED = (b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND")
"""What a swap area has in place of its signature while it contains the memory of a machine."""
_SIGNATURES = (4096 - 10, 65536 - 10)
"""The offset of the signature, at the end of a page of 4 or 64 KiB."""


def _hibernated(place: str) -> GuestError:
    """The error for a hibernated guest: it would continue with file systems that have changed
    meanwhile."""
    return GuestError(f"this guest is hibernated: {place} contains its memory", "resume it, and then shut it down")


def types(guestfs: Any) -> dict[str, str]:
    """Every device that can contain a file system, and blkid's name of what is on it."""
    found = inventory.plain(guestfs) or dict.fromkeys(devices(guestfs), "")
    return {device: type_ or reasons.type_of(guestfs, device) for device, type_ in found.items()}


def find_root(guestfs: Any, seen: Mapping[str, str] | None = None) -> RootFilesystem:
    """The only root file system on the disks, found by searching for /etc/fstab or os-release.

    Partitions, logical volumes, RAID arrays and btrfs subvolumes are checked. libguestfs's own
    inspection finds out much more, but takes 30 s under emulation. GuestError if there is no root
    file system, or more than one, or one that cannot be changed file by file, or if a swap area
    contains the memory of a hibernated machine; in that case nothing has been mounted. ``seen`` is
    the result of ``types``.
    """
    roots: dict[str, RootFilesystem] = {}
    refused: dict[str, GuestError] = {}
    seen = types(guestfs) if seen is None else seen
    for device, fstype in seen.items():
        if fstype == "swsuspend":
            raise _hibernated(device)
    # Without a type, mount would try all of them.
    candidates = {device: fstype for device, fstype in seen.items() if fstype not in _NO_FILE_SYSTEM}
    for device, fstype in candidates.items():
        try:
            guestfs.mount_ro(device, "/")
        except GuestError as error:
            refused[device] = reasons.not_mounted(guestfs, device, error)
            logger.debug("no root file system: %s", refused[device])
            continue
        try:
            reasons.check_kind(guestfs, device, is_root=_is_root(guestfs, ""))
            # a btrfs is found on each of its devices
            name = guestfs.vfs_uuid(device) if fstype == "btrfs" else device
            roots |= {f"{name} {options}": RootFilesystem(device, options) for options in _roots_in(guestfs, fstype)}
        finally:
            guestfs.umount_all()
    if len(roots) > 1:
        found = ", ".join(f"{root.device} {root.options}".strip() for root in roots.values())
        raise GuestError(
            f"this guest has more than one root file system: {found}",
            "use an image with one system: dual-boot systems, and systems with A/B updates, have more than one",
        )
    if not roots:
        shut = [one for one, type_ in seen.items() if type_ == "crypto_LUKS" and not encryption.mapped(guestfs, one)]
        raise reasons.without_root(guestfs, seen, refused, shut)
    root = next(iter(roots.values()))
    reasons.check_writable(root.device, seen[root.device])
    return root


def _roots_in(guestfs: Any, fstype: str) -> list[str]:
    """The mount options of each root file system in the currently mounted one.

    A btrfs is mounted with its default subvolume. If that contains a system, it is the one that
    boots: openSUSE makes a snapshot the default subvolume. If not, the other subvolumes are
    checked, except the earlier states stored by snapper and Timeshift.
    """
    if _is_root(guestfs, ""):
        return [""]
    if fstype != "btrfs":
        return []
    paths = [str(found["btrfssubvolume_path"]) for found in guestfs.btrfs_subvolume_list("/")]
    current = [path for path in paths if not _SNAPSHOTS & set(path.split("/"))]
    return [f"subvol={path}" for path in current if _is_root(guestfs, f"/{path}")]


def _is_root(guestfs: Any, place: str) -> bool:
    return any(guestfs.exists(place + mark) for mark in ("/etc/fstab", "/etc/os-release", "/usr/lib/os-release"))


def mount(guestfs: Any, root: RootFilesystem, seen: Mapping[str, str] | None = None) -> dict[str, str]:
    """Mount ``root`` and the file systems in its fstab, writable. Returns the device at each place.
    ``seen`` is the result of ``types``."""
    seen = seen or {}
    places = {"/": root.device}
    try:
        guestfs.mount_options(_quietly(root.options, seen.get(root.device)), root.device, "/")
    except GuestError as error:
        raise reasons.not_mounted(guestfs, root.device, error, root.options) from error
    table = fstab.crypttab(_text(guestfs, "/etc/crypttab"))
    entries = fstab.parse(_text(guestfs, "/etc/fstab"))
    local = [entry for entry in entries if entry.on_a_local_disk]
    names.check_disks(guestfs, (entry.spec for entry in local if not entry.may_be_missing))
    for entry in local:
        if entry.mountpoint == "/":
            continue
        device = place = ""
        try:
            place = guestfs.realpath(entry.mountpoint)
            device = names.find(guestfs, entry.spec, table)
            guestfs.mount_options(_quietly(entry.subvolume, seen.get(device)), device, place)
            places[place] = device
        except GuestError as error:
            if entry.may_be_missing and not (device and reasons.type_of(guestfs, device)):
                logger.debug("not mounted: %s: %s", entry.mountpoint, error)
                continue
            reason = reasons.not_mounted(guestfs, device, error, entry.subvolume, place) if device else error
            raise GuestError(
                f"cannot mount {entry.spec} on {entry.mountpoint} as in the guest's /etc/fstab: {reason.message}",
                reason.hint or "every file system that the guest mounts at boot must be on the disks of its image",
            ) from error
    for entry in entries:
        if entry.fstype == "swap" and not entry.spec.startswith("/dev/") and _is_suspended(guestfs, entry.spec):
            raise _hibernated(entry.spec)
    return places


def swap_files(guestfs: Any) -> list[str]:
    """The files that are used as swap according to the fstab of the mounted guest."""
    entries = fstab.parse(_text(guestfs, "/etc/fstab"))
    return [
        one.spec
        for one in entries
        if one.fstype == "swap" and one.spec.startswith("/") and not one.spec.startswith("/dev/")
    ]


def _is_suspended(guestfs: Any, path: str) -> bool:
    if not path.startswith("/") or not guestfs.is_file(path, followsymlinks=True):
        return False
    return any(guestfs.pread(path, 9, at) in _SUSPENDED for at in _SIGNATURES)


def _quietly(options: str, fstype: str | None) -> str:
    """Mount options that keep the kernel from writing on its own initiative.

    Soon after a mount, ext4 begins to fill the unused parts of its inode tables with zeros
    (ext4(5), ``init_itable``). They occupy space in the image, and all of it if the disk is
    encrypted.
    """
    return ",".join(filter(None, (options, "noinit_itable"))) if fstype == "ext4" else options


def _text(guestfs: Any, path: str) -> str:
    found = guestfs.pread(path, _CHUNK, 0) if guestfs.is_file(path, followsymlinks=True) else b""
    return str(found.decode("utf-8", "replace"))
