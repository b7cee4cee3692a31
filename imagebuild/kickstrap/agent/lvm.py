"""LVM: physical volumes, groups and logical volumes. There is no udev in the VM, so LVM creates
device nodes itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from . import layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .command import CommandRunner
    from .disks import LogicalVolume, VolumeGroup

CONFIGURATION = """\
devices {
    obtain_device_list_from_udev = 0
    external_device_info_source = "none"
    use_devicesfile = 0
}
activation {
    udev_sync = 0
    udev_rules = 0
    monitoring = 0
}
global { use_lvmpolld = 0 }
backup {
    backup = 0
    archive = 0
}
"""
_FOLDER = Path("/run/kickstrap/lvm")


def environment(folder: Path = _FOLDER) -> dict[str, str]:
    """Write the configuration for LVM's tools to ``folder``, and return the environment that makes
    them use it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lvm.conf").write_text(CONFIGURATION)
    return {"LVM_SYSTEM_DIR": str(folder)}


def make(
    commands: CommandRunner, groups: Sequence[VolumeGroup], volumes: Sequence[LogicalVolume], devices: dict[str, str]
) -> None:
    """Create groups and volumes on ``devices`` (name to device), and add the volumes to it."""
    env = environment()
    commands.run(["modprobe", "-q", "dm_mod"], check=False)
    for group in groups:
        members = [devices[name] for name in group.members]
        commands.run(["pvcreate", "--yes", "--force", *members], env=env)
        commands.run(["vgcreate", "--physicalextentsize", f"{group.extent}K", group.name, *members], env=env)
        mine = [volume for volume in volumes if volume.group == group.name]
        extents = layout.volume_extents(mine, group.extent, _extents(commands, group.name, env))
        for volume, count in zip(mine, extents, strict=True):
            commands.run(lvcreate_command(volume, count), env=env)
            devices[volume.name] = mapper_device(volume)


def _extents(commands: CommandRunner, group: str, env: Mapping[str, str]) -> int:
    argv = ["vgs", "--noheadings", "--options", "vg_extent_count", group]
    return int(commands.run(argv, env=env).output.split()[-1])


def lvcreate_command(volume: LogicalVolume, extents: int) -> list[str]:
    """The command that creates a volume. Nothing is wiped, because the disks are new."""
    options = ["--yes", "--wipesignatures", "n", "--extents", str(extents), "--name", volume.volume]
    return ["lvcreate", *options, volume.group]


def mapper_device(volume: LogicalVolume) -> str:
    """The path of a volume's device. The device mapper doubles the hyphens in both names."""
    return f"/dev/mapper/{volume.group.replace('-', '--')}-{volume.volume.replace('-', '--')}"


def release(commands: CommandRunner, groups: Sequence[VolumeGroup]) -> None:
    """Deactivate the volumes."""
    for group in groups:
        commands.run(["vgchange", "--activate", "n", group.name], env=environment())
