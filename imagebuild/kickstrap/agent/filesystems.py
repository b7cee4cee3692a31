"""Commands that create file systems and swap spaces, and mount options."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .command import CommandRunner
    from .disks import FileSystem

_UNPACK_OPTIONS = {
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
    file_system: FileSystem, device: str, uuid: str, ext4_features: str = "", hash_seed: str = ""
) -> list[str]:
    """The command that creates a file system; everything is initialised now, not in each clone.

    ``hash_seed`` is a UUID that determines in which order ext4 stores the names in a folder.
    """
    label = file_system.label
    named = ["-L", label] if label else []
    match file_system.fstype:
        case "xfs":
            return ["mkfs.xfs", "-q", "-f", "-m", f"uuid={uuid}", *named, device]
        case "btrfs":
            return ["mkfs.btrfs", "-q", "-f", "-U", uuid, *named, device]
        case "vfat":
            name = ["-n", label.upper()] if label and "/" not in label else []
            return ["mkfs.vfat", "-F", "32", "-i", uuid.replace("-", ""), *name, device]
        case "swap":
            return ["mkswap", "-U", uuid, *named, device]
    features = ["-O", ext4_features] if ext4_features else []
    initialised = "lazy_itable_init=0,lazy_journal_init=0" + (f",hash_seed={hash_seed}" if hash_seed else "")
    return ["mkfs.ext4", "-q", "-F", "-U", uuid, "-E", initialised, *features, *named, device]


def uuid_for(fstype: str, random: str) -> str:
    """The UUID of a new file system, from a random one: vfat has only eight digits."""
    return f"{random[:4]}-{random[4:8]}".upper() if fstype == "vfat" else random


def mount_options(file_system: FileSystem) -> str:
    """The mount options during the installation."""
    options = _UNPACK_OPTIONS[file_system.fstype]
    return f"{options},subvol={file_system.subvolume}" if file_system.subvolume else options


def readable_features(commands: CommandRunner) -> str:
    """The features to disable so that hosts older than this mkfs (e2fsprogs 1.47) can read the
    disk.
    """
    version = commands.run(["mkfs.ext4", "-V"], check=False).output
    numbers = version.partition("mke2fs ")[2].split(" ")[0].split(".")[:2]
    known = len(numbers) == 2 and all(n.isdigit() for n in numbers) and [int(n) for n in numbers] >= [1, 47]
    return "^orphan_file,^metadata_csum_seed" if known else ""
