"""btrfs over several devices, and subvolumes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .command import CommandRunner
    from .disks import Btrfs, FileSystem

_TOP = Path("/run/kickstrap/btrfs")


def mkfs_command(volume: Btrfs, members: Sequence[str], uuid: str, features: Sequence[str] = ()) -> list[str]:
    """``features`` are the words that keep it readable for other systems (``readable``)."""
    label = ["-L", volume.label] if volume.label else []
    data = ["-d", volume.data] if volume.data else []
    metadata = ["-m", volume.metadata] if volume.metadata else []
    return ["mkfs.btrfs", "-q", "-f", "-U", uuid, *label, *data, *metadata, *features, *volume.mkfs, *members]


def scan(commands: CommandRunner, devices: Sequence[str]) -> None:
    """Register all members with the kernel, which then mounts the btrfs by any of them."""
    commands.run(["modprobe", "-q", "btrfs"], check=False)
    commands.run(["btrfs", "device", "scan", *devices])


def make_subvolumes(commands: CommandRunner, device: str, subvolumes: Sequence[FileSystem]) -> None:
    """Create the subvolumes of a btrfs, outer ones first."""
    _TOP.mkdir(parents=True, exist_ok=True)
    commands.run(["mount", "-t", "btrfs", device, _TOP])
    for fs in sorted(subvolumes, key=lambda fs: fs.subvolume.count("/")):
        place = _TOP / fs.subvolume
        place.parent.mkdir(parents=True, exist_ok=True)
        commands.run(["btrfs", "subvolume", "create", place])
    commands.run(["umount", _TOP])
