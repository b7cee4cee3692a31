"""Expands ``autopart`` and ``reqpart`` as Anaconda does, for the existing disks. Pure.

Sizes are those of Anaconda 41: /boot 1 GiB, the EFI system partition 500 to 600 MiB, / from 1 GiB
up to 70 GiB, /home only if 50 GiB are free. Anaconda sizes swap space by the memory of the machine
that it runs on. Here that is the install VM, whose memory is unrelated to the guest's and must not
affect an image: swap is a tenth of the disks, at most 8 GiB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .disks import ESP, Autopart, Btrfs, FileSystem, LogicalVolume, Partition, VolumeGroup
from .layout import usable
from .machine import disk_name, disk_number

if TYPE_CHECKING:
    from .disks import Storage
    from .machine import TargetMachine

GROUP = "system"
"""The name of the volume group, and of the btrfs volume."""
_BOOT, _ROOT, _ROOT_MOST, _HOME, _HOME_FROM = 1024, 1024, 70 * 1024, 500, 50 * 1024
_SWAP_MOST = 8 * 1024
_MEMBER = 500


def complete(storage: Storage, machine: TargetMachine) -> Storage:
    """``storage`` with the partitions of autopart and reqpart expanded, and with a disk label."""
    label = storage.label or ("gpt" if machine.uefi or _asks_for_gpt(storage) else "msdos")
    mirrored = {name for array in storage.arrays if array.kind == "esp" for name in array.members}
    parts = tuple(part._replace(kind="esp") if part.name in mirrored else part for part in storage.partitions)
    storage = storage._replace(label=label, partitions=parts)
    if storage.reqpart is not None:
        storage = _required(storage, machine, boot=storage.reqpart.boot, fstype="ext4", line=storage.reqpart.line)
    if storage.autopart is not None:
        wanted = storage.autopart
        fstype = "ext4" if wanted.scheme == "btrfs" else wanted.fstype
        storage = _required(storage, machine, boot=wanted.boot, fstype=fstype, line=wanted.line)
        storage = {"plain": _plain, "lvm": _lvm, "btrfs": _btrfs}[wanted.scheme](storage, machine, wanted)
    return storage._replace(autopart=None, reqpart=None)


def _asks_for_gpt(storage: Storage) -> bool:
    return any(item.kind in {"esp", "biosboot"} for item in storage.members)


def boot_disk(storage: Storage, machine: TargetMachine) -> int:
    """The disk (from 0) that the firmware boots from: --boot-drive, or the first usable one."""
    named = disk_number(storage.boot_disk) if storage.boot_disk else None
    return named if named is not None else usable(storage, machine)[0]


def _required(storage: Storage, machine: TargetMachine, *, boot: bool, fstype: str, line: int) -> Storage:
    """Add what the firmware needs before everything else, and ``/boot``."""
    disk = disk_name(boot_disk(storage, machine))
    partitions, file_systems = [], []
    kinds = {item.kind for item in storage.members}
    if machine.uefi and "esp" not in kinds:
        partitions.append(Partition(ESP, 500, grow=True, maxsize=600, disk=disk, kind="esp", line=line))
        file_systems.append(FileSystem(ESP, "vfat", ESP, line=line))
    elif not machine.uefi and storage.label == "gpt" and "biosboot" not in kinds:
        partitions.append(Partition("biosboot", 1, disk=disk, kind="biosboot", line=line))
    if boot and "/boot" not in storage.mountpoints:
        partitions.append(Partition("/boot", _BOOT, disk=disk, line=line))
        file_systems.append(FileSystem("/boot", fstype, "/boot", line=line))
    return storage._replace(
        partitions=(*partitions, *storage.partitions), file_systems=(*file_systems, *storage.file_systems)
    )


def _free(storage: Storage, machine: TargetMachine) -> list[tuple[int, int]]:
    """The usable disks and the free MiB on each, given the partitions placed so far."""
    disks = usable(storage, machine)
    taken = {
        number: sum(part.size for part in storage.partitions if disk_number(part.disk) == number) for number in disks
    }
    return [(number, machine.disks[number] - 2 - taken[number]) for number in disks]


def _swap(free: list[tuple[int, int]]) -> int:
    return max(1, min(_SWAP_MOST, sum(size for _, size in free) // 10))


def _has_home(wanted: Autopart, free: list[tuple[int, int]]) -> bool:
    """Whether there is room for /home: like Anaconda, count the two largest regions."""
    return wanted.home and sum(sorted(size for _, size in free)[-2:]) >= _HOME_FROM


def _plain(storage: Storage, machine: TargetMachine, wanted: Autopart) -> Storage:
    free = _free(storage, machine)
    home, line = _has_home(wanted, free), wanted.line
    partitions = [Partition("/", _ROOT, grow=True, maxsize=_ROOT_MOST if home else 0, line=line)]
    file_systems = [FileSystem("/", wanted.fstype, "/", line=line)]
    if home:
        partitions.append(Partition("/home", _HOME, grow=True, line=line))
        file_systems.append(FileSystem("/home", wanted.fstype, "/home", line=line))
    if wanted.swap:
        partitions.append(Partition("swap", _swap(free), kind="swap", line=line))
        file_systems.append(FileSystem("swap", "swap", "swap", line=line))
    return storage._replace(
        partitions=(*storage.partitions, *partitions), file_systems=(*storage.file_systems, *file_systems)
    )


def _members(storage: Storage, machine: TargetMachine, word: str, kind: str, line: int) -> tuple[Partition, ...]:
    """One partition on each disk with enough space, as Anaconda does."""
    found = [number for number, size in _free(storage, machine) if size >= _MEMBER]
    # if no disk has enough space, placing the partition reports it
    return tuple(
        Partition(f"{word}.{number + 1}", _MEMBER, grow=True, disk=disk_name(number), kind=kind, line=line)
        for number in found or usable(storage, machine)[:1]
    )


def _lvm(storage: Storage, machine: TargetMachine, wanted: Autopart) -> Storage:
    free, line = _free(storage, machine), wanted.line
    members = _members(storage, machine, "pv", "lvm", line)
    home = _has_home(wanted, free)
    volumes = [LogicalVolume(GROUP, "root", _ROOT, grow=True, maxsize=_ROOT_MOST if home else 0, line=line)]
    file_systems = [FileSystem("/", wanted.fstype, f"{GROUP}/root", line=line)]
    if home:
        volumes.append(LogicalVolume(GROUP, "home", _HOME, grow=True, line=line))
        file_systems.append(FileSystem("/home", wanted.fstype, f"{GROUP}/home", line=line))
    if wanted.swap:
        volumes.append(LogicalVolume(GROUP, "swap", _swap(free), line=line))
        file_systems.append(FileSystem("swap", "swap", f"{GROUP}/swap", line=line))
    return storage._replace(
        partitions=(*storage.partitions, *members),
        groups=(VolumeGroup(GROUP, tuple(part.name for part in members), line=line),),
        volumes=tuple(volumes),
        file_systems=(*storage.file_systems, *file_systems),
    )


def _btrfs(storage: Storage, machine: TargetMachine, wanted: Autopart) -> Storage:
    free, line = _free(storage, machine), wanted.line
    if wanted.swap:
        # swap space cannot be a subvolume: it is a partition, as with Anaconda
        disk = disk_name(free[0][0])
        storage = storage._replace(
            partitions=(*storage.partitions, Partition("swap", _swap(free), disk=disk, kind="swap", line=line)),
            file_systems=(*storage.file_systems, FileSystem("swap", "swap", "swap", line=line)),
        )
    members = _members(storage, machine, "btrfs", "linux", line)
    subvolumes = [FileSystem("/", "btrfs", GROUP, subvolume="root", line=line)]
    if _has_home(wanted, free):
        subvolumes.append(FileSystem("/home", "btrfs", GROUP, subvolume="home", line=line))
    return storage._replace(
        partitions=(*storage.partitions, *members),
        btrfs=(Btrfs(GROUP, tuple(part.name for part in members), GROUP, line=line),),
        file_systems=(*storage.file_systems, *subvolumes),
    )
