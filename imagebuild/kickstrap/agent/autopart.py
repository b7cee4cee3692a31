"""Expands ``autopart`` and ``reqpart`` as Anaconda does, for the existing disks. Pure.

Sizes are those of Anaconda 41: /boot 1 GiB, the EFI system partition 500 to 600 MiB, / from 1 GiB
up to 70 GiB, /home only if 50 GiB are free. Anaconda sizes swap space by the memory of the machine
that it runs on. Here that is the install VM, whose memory is unrelated to the guest's and must not
affect an image: swap is a tenth of the disks, at most 8 GiB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .disks import ESP, Autopart, Btrfs, FileSystem, LogicalVolume, Partition, VolumeGroup
from .errors import StorageError, TooManyPartitions
from .layout import place, usable
from .machine import disk_name, disk_number

if TYPE_CHECKING:
    from .disks import Storage
    from .machine import TargetMachine

GROUP = "system"
"""The name of the volume group, and of the btrfs volume."""
POOL = "pool00"
"""The name of the thin pool, as Anaconda's."""
_BOOT, _ROOT, _ROOT_MOST, _HOME, _HOME_FROM = 1024, 1024, 70 * 1024, 500, 50 * 1024
_SWAP_MOST = 8 * 1024
_MEMBER = 500
_MINIMUM = {"ext2": 2, "ext3": 2, "ext4": 2, "btrfs": 256, "xfs": 300}
"""The smallest file systems in MiB (blivet 3.14, formats/fs.py)."""


def complete(storage: Storage, machine: TargetMachine) -> Storage:
    """``storage`` with the partitions of autopart and reqpart expanded, the swap spaces sized that the
    installer suggests, and with a disk label.
    """
    found = _expanded(storage, machine, storage.label or ("gpt" if machine.uefi or _asks_for_gpt(storage) else "msdos"))
    if not storage.label and found.label == "msdos" and _is_too_much_for_msdos(found, machine):
        # Anaconda would put the others into an extended partition
        found = _expanded(storage, machine, "gpt")
        if found.boots and "biosboot" not in {item.kind for item in found.members}:
            biosboot = Partition("biosboot", 1, disk=disk_name(boot_disk(found, machine)), kind="biosboot")
            found = found._replace(partitions=(biosboot, *found.partitions))
    return found


def _expanded(storage: Storage, machine: TargetMachine, label: str) -> Storage:
    mirrored = {name for array in storage.arrays if array.kind == "esp" for name in array.members}
    parts = tuple(part._replace(kind="esp") if part.name in mirrored else part for part in storage.partitions)
    storage = _with_suggested_swap(storage._replace(label=label, partitions=parts), machine)
    if storage.reqpart is not None:
        storage = _required(storage, machine, boot=storage.reqpart.boot, fstype="ext4", line=storage.reqpart.line)
    if storage.autopart is not None:
        wanted = storage.autopart
        fstype = "ext4" if wanted.scheme == "btrfs" else wanted.fstype
        swap = _swap(storage, machine)
        storage = _required(storage, machine, boot=wanted.boot, fstype=fstype, line=wanted.line)
        schemes = {"plain": _plain, "lvm": _lvm, "thinp": _lvm, "btrfs": _btrfs}
        before = {part.name for part in storage.partitions}
        storage = schemes[wanted.scheme](storage, machine, wanted, swap)
        if wanted.encrypted is not None:
            inside = [part.name for part in storage.partitions if part.name not in before]
            storage = storage._replace(encrypted=tuple(wanted.encrypted._replace(on=name) for name in inside))
    locked = {one.on for one in storage.encrypted}
    parts = tuple(part._replace(kind="linux") if part.name in locked else part for part in storage.partitions)
    return _with_minimum_sizes(storage._replace(partitions=parts, autopart=None, reqpart=None))


def _with_minimum_sizes(storage: Storage) -> Storage:
    """Partitions and volumes that are smaller than the smallest file system on them are enlarged, past
    their --maxsize too, as with Anaconda.
    """
    least = {fs.on: _MINIMUM.get(fs.fstype, 0) for fs in storage.file_systems}
    least |= {name: _MINIMUM["btrfs"] for volume in storage.btrfs for name in volume.members}
    volumes = tuple(
        one if one.percent else one._replace(size=max(one.size, least.get(one.name, 0))) for one in storage.volumes
    )
    parts = tuple(one._replace(size=max(one.size, least.get(one.name, 0))) for one in storage.partitions)
    return storage._replace(partitions=parts, volumes=volumes)


def _is_too_much_for_msdos(storage: Storage, machine: TargetMachine) -> bool:
    """Whether the partitions fit, but are more than a DOS label allows."""
    try:
        place(storage, machine)
    except TooManyPartitions:
        return True
    except StorageError:
        return False
    return False


def _with_suggested_swap(storage: Storage, machine: TargetMachine) -> Storage:
    """Swap spaces with --recommended or --hibernation get their size."""
    swaps = {fs.on for fs in storage.file_systems if fs.fstype == "swap"}
    size = _swap(storage, machine)
    return storage._replace(
        partitions=tuple(
            one._replace(size=size) if one.kind == "swap" and not one.size else one for one in storage.partitions
        ),
        volumes=tuple(
            one._replace(size=size) if one.name in swaps and not one.size and not one.percent else one
            for one in storage.volumes
        ),
    )


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


def _swap(storage: Storage, machine: TargetMachine) -> int:
    """The size of swap space that is suggested: see above."""
    return max(1, min(_SWAP_MOST, sum(machine.disks[number] for number in usable(storage, machine)) // 10))


def _has_home(wanted: Autopart, free: list[tuple[int, int]]) -> bool:
    """Whether there is room for /home: like Anaconda, count the two largest regions."""
    return wanted.home and sum(sorted(size for _, size in free)[-2:]) >= _HOME_FROM


def _plain(storage: Storage, machine: TargetMachine, wanted: Autopart, swap: int) -> Storage:
    free = _free(storage, machine)
    home, line = _has_home(wanted, free), wanted.line
    partitions = [Partition("/", _ROOT, grow=True, maxsize=_ROOT_MOST if home else 0, line=line)]
    file_systems = [FileSystem("/", wanted.fstype, "/", line=line)]
    if home:
        partitions.append(Partition("/home", _HOME, grow=True, line=line))
        file_systems.append(FileSystem("/home", wanted.fstype, "/home", line=line))
    if wanted.swap:
        partitions.append(Partition("swap", swap, kind="swap", line=line))
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


def _lvm(storage: Storage, machine: TargetMachine, wanted: Autopart, swap: int) -> Storage:
    """With ``thinp`` all but the swap space is in a thin pool, and a fifth of the group stays free."""
    line, thin = wanted.line, wanted.scheme == "thinp"
    members = _members(storage, machine, "pv", "lvm", line)
    home = _has_home(wanted, _free(storage, machine))
    pool = POOL if thin else ""
    volumes = [LogicalVolume(GROUP, POOL, 1, grow=True, line=line, is_pool=True)] if thin else []
    most = _ROOT_MOST if home else 0
    volumes.append(LogicalVolume(GROUP, "root", _ROOT, grow=True, maxsize=most, line=line, pool=pool))
    file_systems = [FileSystem("/", wanted.fstype, f"{GROUP}/root", line=line)]
    if home:
        volumes.append(LogicalVolume(GROUP, "home", _HOME, grow=True, line=line, pool=pool))
        file_systems.append(FileSystem("/home", wanted.fstype, f"{GROUP}/home", line=line))
    if wanted.swap:
        volumes.append(LogicalVolume(GROUP, "swap", swap, line=line))
        file_systems.append(FileSystem("swap", "swap", f"{GROUP}/swap", line=line))
    return storage._replace(
        partitions=(*storage.partitions, *members),
        groups=(VolumeGroup(GROUP, tuple(part.name for part in members), line=line, for_pool=thin),),
        volumes=tuple(volumes),
        file_systems=(*storage.file_systems, *file_systems),
    )


def _btrfs(storage: Storage, machine: TargetMachine, wanted: Autopart, swap: int) -> Storage:
    free, line = _free(storage, machine), wanted.line
    if wanted.swap:
        # swap space cannot be a subvolume: it is a partition, as with Anaconda, which places it last unless
        # there is only one disk
        disk = disk_name(free[0][0]) if len(free) == 1 else ""
        storage = storage._replace(
            partitions=(*storage.partitions, Partition("swap", swap, disk=disk, kind="swap", line=line)),
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
