"""The target disk: found, partitioned, formatted, mounted, and let go of in the end."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from . import layout
from .errors import InstallError
from .plan import FileSystem, mount_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .command import Commands

TARGET_SERIAL = "target"
_OURS = frozenset({"stage2", "payload"})
_NO_DISK = ("fd", "loop", "md", "ram", "sr", "zram", "dm-")
_UNPACK_OPTIONS = {"ext4": "noatime,data=writeback,noinit_itable", "xfs": "noatime"}
"""While installing nothing has to survive a crash: a failed installation is thrown away."""


class Mounted(NamedTuple):
    """A file system of the target: what was asked for, on which device, and its new UUID."""

    file_system: FileSystem
    device: str
    uuid: str


def serial(disk: Path) -> str:
    """The serial number of a disk under /sys/block: virtio's own, or SCSI's and SATA's page 0x80."""
    plain = disk / "serial"
    page = disk / "device" / "vpd_pg80"
    try:
        if plain.exists():
            return plain.read_text(encoding="ascii", errors="replace").strip()
        if page.exists():
            return page.read_bytes()[4:].decode("ascii", "replace").strip("\0 ")
    except OSError:
        pass
    return ""


def find_disk(blocks: Path = Path("/sys/block")) -> str:
    """The device to install on: the disk with serial ``target``, or else the only writable one."""
    others = []
    for disk in sorted(blocks.iterdir()):
        if disk.name.startswith(_NO_DISK):
            continue
        name = serial(disk)
        if name == TARGET_SERIAL:
            return f"/dev/{disk.name}"
        read_only = (disk / "ro").read_text().strip() == "1"
        if name not in _OURS and not read_only:
            others.append(disk.name)
    if len(others) != 1:
        seen = ", ".join(others) or "none"
        raise InstallError(
            f"no disk has the serial number {TARGET_SERIAL!r}, and of others there is not just one: {seen}"
        )
    return f"/dev/{others[0]}"


def disk_size(disk: str) -> int:
    """The size of a device or an image file in whole MiB."""
    with open(disk, "rb") as file:  # noqa: PTH123 - a block device, measured by seeking
        return file.seek(0, os.SEEK_END) // (1024 * 1024)


def partition_device(disk: str, number: int) -> str:
    """/dev/vda1, /dev/nvme0n1p1"""
    return f"{disk}p{number}" if disk[-1].isdigit() else f"{disk}{number}"


def partition(commands: Commands, disk: str, file_systems: Sequence[FileSystem]) -> list[str]:
    """Write a new label with one partition per file system; returns their devices."""
    sizes = layout.sizes(file_systems, disk_size(disk))
    boot = [fs.mountpoint for fs in file_systems]
    active = boot.index("/boot") if "/boot" in boot else boot.index("/")
    commands.run(
        ["sfdisk", "--quiet", "--wipe", "always", "--wipe-partitions", "always", "--no-reread", disk],
        input=layout.sfdisk_script(sizes, active),
    )
    devices = [partition_device(disk, number) for number in range(1, len(sizes) + 1)]
    _wait_for(devices)
    return devices


def _wait_for(devices: Sequence[str]) -> None:
    for device in devices:
        for _ in range(200):
            if Path(device).exists():
                break
            time.sleep(0.05)
        else:
            raise InstallError(f"the kernel did not show the partition {device}")


def mkfs_command(file_system: FileSystem, device: str, uuid: str, ext4_features: str = "") -> list[str]:
    """The command that makes a file system; everything is initialised now, not in each clone."""
    if file_system.fstype == "xfs":
        label = ["-L", file_system.label] if file_system.label else []
        return ["mkfs.xfs", "-q", "-f", "-m", f"uuid={uuid}", *label, device]
    label = ["-L", file_system.label] if file_system.label else []
    features = ["-O", ext4_features] if ext4_features else []
    initialised = "lazy_itable_init=0,lazy_journal_init=0"
    return ["mkfs.ext4", "-q", "-F", "-U", uuid, "-E", initialised, *features, *label, device]


def readable_features(commands: Commands) -> str:
    """What to switch off so that hosts older than this mkfs read the disk (e2fsprogs 1.47)."""
    version = commands.run(["mkfs.ext4", "-V"], check=False).output
    numbers = version.partition("mke2fs ")[2].split(" ")[0].split(".")[:2]
    known = len(numbers) == 2 and all(n.isdigit() for n in numbers) and [int(n) for n in numbers] >= [1, 47]
    return "^orphan_file,^metadata_csum_seed" if known else ""


def format_and_mount(
    commands: Commands, devices: Sequence[str], file_systems: Sequence[FileSystem], root: Path
) -> list[Mounted]:
    """Make the file systems and mount them below ``root``."""
    features = readable_features(commands) if any(fs.fstype == "ext4" for fs in file_systems) else ""
    mounted = []
    for fs, device in zip(file_systems, devices, strict=True):
        uuid = Path("/proc/sys/kernel/random/uuid").read_text().strip()
        commands.run(mkfs_command(fs, device, uuid, features))
        mounted.append(Mounted(fs, device, uuid))
    by_mountpoint = {item.file_system.mountpoint: item for item in mounted}
    for fs in mount_order(file_systems):
        place = root / fs.mountpoint.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        options = _UNPACK_OPTIONS[fs.fstype]
        commands.run(["mount", "-t", fs.fstype, "-o", options, by_mountpoint[fs.mountpoint].device, place])
    return mounted


def free_bytes(root: Path, file_systems: Sequence[FileSystem]) -> int:
    """Room on all file systems of the target together."""
    total = 0
    for fs in file_systems:
        stat = os.statvfs(root / fs.mountpoint.lstrip("/"))
        total += stat.f_bavail * stat.f_frsize
    return total


def bind_kernel(commands: Commands, root: Path) -> None:
    """Give tools inside the target /dev, /proc, /sys and an empty /run."""
    for name in ("dev", "proc", "sys", "run"):
        (root / name).mkdir(exist_ok=True)
    commands.run(["mount", "--rbind", "/dev", root / "dev"])
    commands.run(["mount", "-t", "proc", "proc", root / "proc"])
    commands.run(["mount", "-t", "sysfs", "sysfs", root / "sys"])
    commands.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", root / "run"])


def release(commands: Commands, root: Path) -> None:
    """Unmount everything below ``root``; what still runs inside it is ended first."""
    for process in processes_inside(root):
        commands.log(f"ending process {process}, left behind in the target")
        try:
            os.kill(process, 9)
        except OSError:
            continue
    for attempt in range(10):
        result = commands.run(["umount", "-R", root], check=attempt == 9)
        if result.status == 0:
            return
        time.sleep(0.5)


def processes_inside(root: Path) -> list[int]:
    """Processes whose root or working directory is in ``root``."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        for link in ("root", "cwd"):
            try:
                place = str((entry / link).readlink())
            except OSError:
                continue
            if place == str(root) or place.startswith(f"{root}/"):
                found.append(int(entry.name))
                break
    return found
