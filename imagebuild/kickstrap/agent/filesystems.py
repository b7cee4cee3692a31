"""Commands that create file systems and swap spaces, and mount options."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .disks import FileSystem
    from .identity import DiskIdentity

_UNPACK_OPTIONS = {
    "ext2": "noatime",
    "ext3": "noatime",
    "ext4": "noatime,data=writeback,noinit_itable",
    "xfs": "noatime",
    "btrfs": "noatime",
    "vfat": "umask=0077",
}
"""During the installation nothing must survive a crash: a failed installation is discarded."""


class Mounted(NamedTuple):
    """A file system of the target: the requested one, its device, and its new UUID."""

    file_system: FileSystem
    device: str
    uuid: str


def mkfs_command(
    file_system: FileSystem, device: str, uuid: str, features: Sequence[str] = (), hash_seed: str = ""
) -> list[str]:
    """The command that creates a file system; everything is initialised now, not in each clone.

    ``features`` are the words that keep it readable for other systems (``readable``). ``hash_seed`` is a
    UUID that determines in which order ext4 stores the names in a folder.
    """
    label = file_system.label
    named = ["-L", label] if label else []
    words = [*features, *named, *file_system.mkfs, device]
    match file_system.fstype:
        case "xfs":
            return ["mkfs.xfs", "-q", "-f", "-m", f"uuid={uuid}", *words]
        case "btrfs":
            return ["mkfs.btrfs", "-q", "-f", "-U", uuid, *words]
        case "vfat":
            name = ["-n", label.upper()] if label and "/" not in label else []
            return ["mkfs.vfat", "-F", "32", "-i", uuid.replace("-", ""), *name, *file_system.mkfs, device]
        case "swap":
            return ["mkswap", "-U", uuid, *words]
    initialised = "lazy_itable_init=0,lazy_journal_init=0" + (f",hash_seed={hash_seed}" if hash_seed else "")
    return [f"mkfs.{file_system.fstype}", "-q", "-F", "-U", uuid, "-E", initialised, *words]


def hash_seed(file_system: FileSystem, identity: DiskIdentity) -> str:
    """The ``hash_seed`` of a file system, as ``identity`` determines it."""
    return identity.uuid("hashes", file_system.on)


def identified(
    file_system: FileSystem, device: str, features: Sequence[str], identity: DiskIdentity
) -> tuple[str, list[str]]:
    """The UUID of a new file system, and the command that creates it, with what ``identity`` determines."""
    uuid = uuid_for(file_system.fstype, identity.uuid("file system", file_system.on))
    return uuid, mkfs_command(file_system, device, uuid, features, hash_seed(file_system, identity))


def uuid_for(fstype: str, random: str) -> str:
    """The UUID of a new file system, from a random one: vfat has only eight digits."""
    return f"{random[:4]}-{random[4:8]}".upper() if fstype == "vfat" else random


def mount_options(file_system: FileSystem) -> str:
    """The mount options during the installation."""
    options = _UNPACK_OPTIONS[file_system.fstype]
    return f"{options},subvol={file_system.subvolume}" if file_system.subvolume else options
