"""Converts the storage commands of a kickstart, as pykickstart has parsed them, to ``Storage``. Pure."""

from __future__ import annotations

import shlex
from typing import Any

from .disks import (
    DEFAULT_PARTITION,
    Array,
    Autopart,
    Btrfs,
    Encrypted,
    FileSystem,
    LogicalVolume,
    Partition,
    Reqpart,
    Snapshot,
    Storage,
    VolumeGroup,
)
from .machine import disk_name

FILE_SYSTEM = {"efi": "vfat"}
"""Kickstart's names of file systems that differ from the usual ones."""
LEVELS = {"RAID0": 0, "RAID1": 1, "RAID4": 4, "RAID5": 5, "RAID6": 6, "RAID10": 10}
"""The levels of arrays, by pykickstart's names."""
_SCHEMES = {0: "plain", 1: "btrfs", 2: "lvm", 3: "thinp"}
"""pykickstart.constants.AUTOPART_TYPE_*"""
_PROFILE_OF = frozenset({"ext2", "ext3", "ext4"})
"""The file systems for which --fsprofile names a usage type (mke2fs.conf(5))."""


def make(handler: Any) -> Storage:
    """The storage that a kickstart's commands define."""
    builder = _StorageBuilder()
    for part in handler.partition.partitions:
        builder.partition(part)
    for raid in handler.raid.raidList:
        builder.array(raid)
    for volume in handler.logvol.lvList:
        builder.volume(volume)
    for btrfs in handler.btrfs.btrfsList:
        builder.volume_or_subvolume(btrfs)
    clearpart, ignoredisk, bootloader = handler.clearpart, handler.ignoredisk, handler.bootloader
    reqpart = handler.reqpart
    label = clearpart.disklabel or ""
    order = bootloader.driveorder or []
    return Storage(
        partitions=tuple(builder.partitions),
        arrays=tuple(builder.arrays),
        groups=tuple(_group(group) for group in handler.volgroup.vgList),
        volumes=tuple(builder.volumes),
        btrfs=tuple(builder.btrfs),
        file_systems=tuple(builder.file_systems),
        label={"dos": "msdos"}.get(label, label),
        only=tuple(ignoredisk.onlyuse or ()),
        ignored=tuple(ignoredisk.ignoredisk or ()),
        cleared=tuple(clearpart.drives or ()),
        boot_disk=bootloader.bootDrive or (order[0] if order else ""),
        boots=boots(bootloader),
        autopart=_autopart(handler.autopart),
        reqpart=Reqpart(bool(reqpart.addBoot), reqpart.lineno) if reqpart.seen else None,
        line=clearpart.lineno or 1,
        encrypted=tuple(builder.encrypted),
        snapshots=tuple(Snapshot(one.origin, one.name, one.lineno) for one in handler.snapshot.dataList() if one.name),
    )


def boots(bootloader: Any) -> bool:
    """Whether a boot loader is installed."""
    return not (bootloader.seen and (bootloader.location == "none" or bootloader.disabled))


def _autopart(command: Any) -> Autopart | None:
    if not command.seen:
        return None
    kind = command.type
    return Autopart(
        scheme="lvm" if kind is None else _SCHEMES.get(kind, str(kind)),
        fstype=command.fstype or "ext4",
        boot=not command.noboot,
        home=not command.nohome,
        swap=not command.noswap,
        line=command.lineno,
        encrypted=_encrypted(command, "autopart", command.passphrase or "") if command.encrypted else None,
    )


def _encrypted(item: Any, on: str, passphrase: str) -> Encrypted:
    return Encrypted(on, passphrase, item.cipher or "", item.lineno)


def _group(group: Any) -> VolumeGroup:
    return VolumeGroup(
        group.vgname,
        tuple(group.physvols),
        int(group.pesize or 4096),
        group.lineno,
        group.reserved_space or 0,
        group.reserved_percent or 0,
    )


class _StorageBuilder:
    """Collects pykickstart's objects; each swap space gets a unique name."""

    def __init__(self) -> None:
        self.partitions: list[Partition] = []
        self.arrays: list[Array] = []
        self.volumes: list[LogicalVolume] = []
        self.btrfs: list[Btrfs] = []
        self.file_systems: list[FileSystem] = []
        self.encrypted: list[Encrypted] = []
        self._swaps = 0

    def _name(self, mountpoint: str) -> str:
        if mountpoint != "swap":
            return mountpoint
        self._swaps += 1
        return "swap" if self._swaps == 1 else f"swap.{self._swaps}"

    def partition(self, part: Any) -> None:
        name, kind = self._name(part.mountpoint), kind_of(part)
        suggested = _is_suggested(part)
        if part.onPart:
            self.partitions.append(Partition(name, kind=kind, line=part.lineno, existing=part.onPart))
        else:
            size = 0 if suggested else part.size or (1 if kind == "biosboot" else DEFAULT_PARTITION)
            disk = part.disk or _bios_disk(part)
            grow = bool(part.grow) and not suggested
            maximum, primary = part.maxSizeMB or 0, bool(part.primOnly)
            self.partitions.append(Partition(name, size, grow, maximum, disk, kind, part.lineno, primary))
        self._format(part, name)

    def array(self, raid: Any) -> None:
        name = self._name(raid.mountpoint)
        level = LEVELS.get(str(raid.level), -1)
        spares, chunk = raid.spares or 0, raid.chunk_size or 0
        self.arrays.append(
            Array(name, str(raid.device), level, tuple(raid.members), kind_of(raid), raid.lineno, spares, chunk)
        )
        self._format(raid, name)

    def volume(self, logvol: Any) -> None:
        is_pool, suggested = bool(logvol.thin_pool), _is_suggested(logvol)
        volume = LogicalVolume(
            logvol.vgname,
            logvol.name,
            0 if suggested else logvol.size or 0,
            bool(logvol.grow) and not suggested,
            logvol.maxSizeMB or 0,
            logvol.percent or 0,
            logvol.lineno,
            is_pool,
            logvol.pool_name or "",
            logvol.chunk_size or 0,
            logvol.metadata_size or 0,
        )
        self.volumes.append(volume)
        if not is_pool:
            self._format(logvol, volume.name)

    def volume_or_subvolume(self, btrfs: Any) -> None:
        mounted = btrfs.mountpoint not in {"none", "None", ""}
        if btrfs.subvol:
            parent = " ".join(btrfs.devices).removeprefix("LABEL=")
            place = btrfs.mountpoint if mounted else "none"
            self.file_systems.append(FileSystem(place, "btrfs", parent, subvolume=btrfs.name, line=btrfs.lineno))
            return
        name = btrfs.label or btrfs.mountpoint
        levels = (btrfs.dataLevel or "", btrfs.metaDataLevel or "")
        members, mkfs = tuple(btrfs.devices), _words(btrfs)
        self.btrfs.append(Btrfs(name, members, btrfs.label or "", *levels, btrfs.lineno, mkfs))
        if mounted:
            self.file_systems.append(FileSystem(btrfs.mountpoint, "btrfs", name, line=btrfs.lineno))

    def _format(self, item: Any, name: str) -> None:
        """Add a file system or swap space, unless the item is part of something else; and encryption."""
        mountpoint = item.mountpoint
        if item.encrypted:
            # as with Anaconda, the first passphrase is that of the lines without one
            earlier = next((one.passphrase for one in self.encrypted if one.passphrase), "")
            self.encrypted.append(_encrypted(item, name, item.passphrase or earlier))
        if not (mountpoint.startswith("/") or mountpoint == "swap"):
            return
        fstype = "swap" if mountpoint == "swap" else item.fstype or "ext4"
        profile = item.fsprofile or ""
        words = (*(("-T", profile) if profile and fstype in _PROFILE_OF else ()), *_words(item))
        self.file_systems.append(
            FileSystem(
                mountpoint,
                FILE_SYSTEM.get(fstype, fstype),
                name,
                item.label or "",
                item.fsopts or "",
                line=item.lineno,
                mkfs=words,
            )
        )


def _is_suggested(item: Any) -> bool:
    """Whether a swap space has the size that the installer suggests."""
    return item.mountpoint == "swap" and bool(item.recommended or item.hibernation)


def _bios_disk(part: Any) -> str:
    """The name of the disk with a BIOS's number: 80 (hexadecimal) is the first one."""
    try:
        number = int(part.onbiosdisk or "", 16) - 0x80
    except ValueError:
        return str(part.onbiosdisk or "")
    return disk_name(number) if 0 <= number < 26 else str(part.onbiosdisk)


def _words(item: Any) -> tuple[str, ...]:
    """The words of --mkfsoptions. Quotes that do not end are reported by the rules."""
    try:
        return tuple(shlex.split(item.mkfsopts or ""))
    except ValueError:
        return ()


def kind_of(item: Any) -> str:
    """What a partition or an array is for: see ``Partition``."""
    word = item.mountpoint.partition(".")[0]
    if item.fstype == "efi":
        return "esp"
    if item.fstype == "biosboot":
        return "biosboot"
    return {"swap": "swap", "pv": "lvm", "raid": "raid", "biosboot": "biosboot"}.get(word, "linux")
