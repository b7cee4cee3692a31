"""The device nodes of the target's disks and partitions."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InstallError
from .machine import ExistingPartition

if TYPE_CHECKING:
    from collections.abc import Sequence

TARGET_SERIAL = "target"
"""The serial number of the first disk to install to; the others have ``target2``, ``target3``, …"""
SECTORS = 2048
"""Sectors of 512 bytes in a MiB: sysfs counts in these, whatever the disk."""
_OURS = frozenset({"stage2", "payload"})
_NO_DISK = ("fd", "loop", "md", "ram", "sr", "zram", "dm-")


def serial(disk: Path) -> str:
    """The serial number of a disk under /sys/block: virtio's attribute, or page 0x80 of SCSI and
    SATA.
    """
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


def find_disks(blocks: Path = Path("/sys/block")) -> list[str]:
    """The devices to install to, in order: by serial number, else the only writable disk."""
    found: dict[int, str] = {}
    others = []
    for disk in sorted(blocks.iterdir()):
        if disk.name.startswith(_NO_DISK):
            continue
        name = serial(disk)
        if number := re.fullmatch(rf"{TARGET_SERIAL}(\d*)", name):
            found[int(number[1] or 1)] = f"/dev/{disk.name}"
            continue
        read_only = (disk / "ro").read_text().strip() == "1"
        if name not in _OURS and not read_only:
            others.append(disk.name)
    if found:
        return [found[number] for number in sorted(found)]
    if len(others) != 1:
        seen = ", ".join(others) or "none"
        raise InstallError(
            f"no disk has the serial number {TARGET_SERIAL!r}, and there is not exactly one other disk: {seen}"
        )
    return [f"/dev/{others[0]}"]


def find_partitions(disks: Sequence[str], blocks: Path = Path("/sys/block")) -> tuple[ExistingPartition, ...]:
    """The partitions that the kernel knows on these devices."""
    found = []
    for number, disk in enumerate(disks):
        for path in sorted((blocks / Path(disk).name).glob("*/partition")):
            its, start, size = (int((path.parent / name).read_text()) for name in ("partition", "start", "size"))
            found.append(ExistingPartition(number, its, start // SECTORS, size // SECTORS))
    return tuple(found)


def disk_size(disk: str) -> int:
    """The size of a device or an image file in whole MiB."""
    with open(disk, "rb") as file:  # noqa: PTH123 - a block device, measured by seeking
        return file.seek(0, os.SEEK_END) // (1024 * 1024)


def partition_device(disk: str, number: int) -> str:
    """/dev/vda1, /dev/nvme0n1p1"""
    return f"{disk}p{number}" if disk[-1].isdigit() else f"{disk}{number}"


def wait_for(devices: Sequence[str]) -> None:
    """Wait until these devices exist. Raises InstallError after ten seconds."""
    for device in devices:
        for _ in range(200):
            if Path(device).exists():
                break
            time.sleep(0.05)
        else:
            raise InstallError(f"the device {device} did not appear")


def link_by_uuid(device: str, uuid: str, folder: Path = Path("/dev/disk/by-uuid")) -> None:
    """Create the link that udev would: without it GRUB's configuration names the root file system
    by its device.
    """
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / uuid
    link.unlink(missing_ok=True)
    link.symlink_to(Path(device).resolve())
