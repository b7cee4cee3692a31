"""LVM: physical volumes, groups and logical volumes. There is no udev in the VM, so LVM creates
device nodes itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from . import volumes as sizes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .command import CommandRunner
    from .disks import LogicalVolume, Snapshot, VolumeGroup

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
    modules = ["dm_mod", *(["dm_thin_pool"] if any(volume.is_pool for volume in volumes) else [])]
    commands.run(["modprobe", "-q", "-a", *modules], check=False)
    for group in groups:
        members = [devices[name] for name in group.members]
        commands.run(["pvcreate", "--yes", "--force", *members], env=env)
        commands.run(["vgcreate", "--physicalextentsize", f"{group.extent}K", group.name, *members], env=env)
        mine = [volume for volume in volumes if volume.group == group.name]
        extents = sizes.volume_extents(group, mine, _extents(commands, group.name, env))
        # a pool before its volumes
        for volume in sorted(mine, key=lambda volume: bool(volume.pool)):
            commands.run(lvcreate_command(volume, extents[volume.name], group.extent), env=env)
            devices[volume.name] = mapper_device(volume)


def _extents(commands: CommandRunner, group: str, env: Mapping[str, str]) -> int:
    argv = ["vgs", "--noheadings", "--options", "vg_extent_count", group]
    return int(commands.run(argv, env=env).output.split()[-1])


def lvcreate_command(volume: LogicalVolume, size: int | sizes.PoolSize, extent: int = 4096) -> list[str]:
    """The command that creates a volume of ``size`` extents of ``extent`` KiB. Nothing is wiped, because
    the disks are new.
    """
    options = ["--yes", *([] if volume.is_pool else ["--wipesignatures", "n"])]  # which it refuses for a pool
    if isinstance(size, sizes.PoolSize):
        chunk = ["--chunksize", f"{volume.chunk}K"] if volume.chunk else []
        pool = ["--type", "thin-pool", "--poolmetadatasize", f"{size.metadata * extent}K", *chunk]
        return ["lvcreate", *options, *pool, "--extents", str(size.data), "--name", volume.volume, volume.group]
    if volume.pool:
        thin = ["--type", "thin", "--virtualsize", f"{size * extent}K", "--thinpool", volume.pool]
        return ["lvcreate", *options, *thin, "--name", volume.volume, volume.group]
    return ["lvcreate", *options, "--extents", str(size), "--name", volume.volume, volume.group]


def take_snapshots(commands: CommandRunner, snapshots: Sequence[Snapshot]) -> None:
    """Take snapshots of thin volumes, which must not be written to meanwhile."""
    for snapshot in snapshots:
        commands.run(["lvcreate", "--yes", "--snapshot", "--name", snapshot.name, snapshot.of], env=environment())


def mapper_device(volume: LogicalVolume) -> str:
    """The path of a volume's device. The device mapper doubles the hyphens in both names."""
    return f"/dev/mapper/{volume.group.replace('-', '--')}-{volume.volume.replace('-', '--')}"


def release(commands: CommandRunner, groups: Sequence[VolumeGroup]) -> None:
    """Deactivate the volumes."""
    for group in groups:
        commands.run(["vgchange", "--activate", "n", group.name], env=environment())
