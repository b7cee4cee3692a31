"""The storage of a kickstart, as plain values in MiB. Pure: converts pykickstart's handler to
``Storage``.

Everything that can contain something else has a name: a partition ``pv.01``, or its mount point; a
RAID array the word in place of its mount point; a logical volume ``GROUP/NAME``. ``line`` is its
line in the kickstart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

ESP = "/boot/efi"
"""The mount point of the EFI system partition."""
FILE_SYSTEM = {"efi": "vfat"}
"""Kickstart's names of file systems that differ from the usual ones."""


class Partition(NamedTuple):
    """A partition. ``kind``: linux, swap, lvm, raid, esp or biosboot; ``disk`` is that of --ondisk,
    or empty.
    """

    name: str
    size: int = 0
    grow: bool = False
    maxsize: int = 0
    disk: str = ""
    kind: str = "linux"
    line: int = 0


class Array(NamedTuple):
    """A RAID array ``device`` of ``members``; other items refer to it as ``name``."""

    name: str
    device: str
    level: int
    members: tuple[str, ...]
    kind: str = "linux"
    line: int = 0


class VolumeGroup(NamedTuple):
    """An LVM volume group; ``extent`` in KiB."""

    name: str
    members: tuple[str, ...]
    extent: int = 4096
    line: int = 0


class LogicalVolume(NamedTuple):
    """``percent`` of the whole group, or ``size``; ``grow`` uses the free space, up to ``maxsize``
    if it is not 0.
    """

    group: str
    volume: str
    size: int = 0
    grow: bool = False
    maxsize: int = 0
    percent: int = 0
    line: int = 0

    @property
    def name(self) -> str:
        return f"{self.group}/{self.volume}"


class Btrfs(NamedTuple):
    """A btrfs over several devices; the profiles are mkfs.btrfs's, empty for its default."""

    name: str
    members: tuple[str, ...]
    label: str = ""
    data: str = ""
    metadata: str = ""
    line: int = 0


class FileSystem(NamedTuple):
    """A file system, swap space (mount point ``swap``) or btrfs subvolume on the item named ``on``.

    A subvolume that is not mounted has the mount point ``none``.
    """

    mountpoint: str
    fstype: str = "ext4"
    on: str = ""
    label: str = ""
    options: str = ""
    subvolume: str = ""
    line: int = 0


class Autopart(NamedTuple):
    """``autopart``; ``scheme``: plain, lvm or btrfs."""

    scheme: str = "lvm"
    fstype: str = "ext4"
    boot: bool = True
    home: bool = True
    swap: bool = True
    line: int = 0


class Reqpart(NamedTuple):
    """``reqpart``: what the firmware needs, and ``/boot`` if ``boot``."""

    boot: bool = False
    line: int = 0


class Storage(NamedTuple):
    """The whole storage. ``label``: gpt, msdos, or empty if not specified; ``boots``: a boot loader
    is installed.
    """

    partitions: tuple[Partition, ...] = ()
    arrays: tuple[Array, ...] = ()
    groups: tuple[VolumeGroup, ...] = ()
    volumes: tuple[LogicalVolume, ...] = ()
    btrfs: tuple[Btrfs, ...] = ()
    file_systems: tuple[FileSystem, ...] = ()
    label: str = ""
    only: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    cleared: tuple[str, ...] = ()
    boot_disk: str = ""
    boots: bool = True
    autopart: Autopart | None = None
    reqpart: Reqpart | None = None
    line: int = 1

    @property
    def members(self) -> list[Partition | Array]:
        """The items that can contain others."""
        return [*self.partitions, *self.arrays]

    @property
    def mountpoints(self) -> tuple[str, ...]:
        return tuple(fs.mountpoint for fs in self.file_systems)


def make(handler: Any) -> Storage:
    """The storage that a kickstart's commands define."""
    builder = _DiskPlanBuilder()
    for part in handler.partition.partitions:
        builder.partition(part)
    for raid in handler.raid.raidList:
        builder.array(raid)
    for volume in handler.logvol.lvList:
        builder.volume(volume)
    for btrfs in handler.btrfs.btrfsList:
        builder.volume_or_subvolume(btrfs)
    clearpart, ignoredisk = handler.clearpart, handler.ignoredisk
    return Storage(
        partitions=tuple(builder.partitions),
        arrays=tuple(builder.arrays),
        groups=tuple(
            VolumeGroup(group.vgname, tuple(group.physvols), int(group.pesize or 4096), group.lineno)
            for group in handler.volgroup.vgList
        ),
        volumes=tuple(builder.volumes),
        btrfs=tuple(builder.btrfs),
        file_systems=tuple(builder.file_systems),
        label={"dos": "msdos"}.get(clearpart.disklabel or "", clearpart.disklabel or ""),
        only=tuple(ignoredisk.onlyuse or ()),
        ignored=tuple(ignoredisk.ignoredisk or ()),
        cleared=tuple(clearpart.drives or ()),
        boot_disk=handler.bootloader.bootDrive or "",
        boots=boots(handler.bootloader),
        autopart=_autopart(handler.autopart),
        reqpart=Reqpart(bool(handler.reqpart.addBoot), handler.reqpart.lineno) if handler.reqpart.seen else None,
        line=clearpart.lineno or 1,
    )


def boots(bootloader: Any) -> bool:
    """Whether a boot loader is installed."""
    return not (bootloader.seen and (bootloader.location == "none" or bootloader.disabled))


_SCHEMES = {0: "plain", 1: "btrfs", 2: "lvm"}
"""pykickstart.constants.AUTOPART_TYPE_*"""


def _autopart(command: Any) -> Autopart | None:
    if not command.seen:
        return None
    return Autopart(
        scheme="lvm" if command.type is None else _SCHEMES.get(command.type, "thinp"),
        fstype=command.fstype or "ext4",
        boot=not command.noboot,
        home=not command.nohome,
        swap=not command.noswap,
        line=command.lineno,
    )


class _DiskPlanBuilder:
    """Collects pykickstart's objects; each swap space gets a unique name."""

    def __init__(self) -> None:
        self.partitions: list[Partition] = []
        self.arrays: list[Array] = []
        self.volumes: list[LogicalVolume] = []
        self.btrfs: list[Btrfs] = []
        self.file_systems: list[FileSystem] = []
        self._swaps = 0

    def _name(self, mountpoint: str) -> str:
        if mountpoint != "swap":
            return mountpoint
        self._swaps += 1
        return "swap" if self._swaps == 1 else f"swap.{self._swaps}"

    def partition(self, part: Any) -> None:
        name, kind = self._name(part.mountpoint), _kind(part)
        size = part.size or (1 if kind == "biosboot" else 0)
        self.partitions.append(
            Partition(name, size, bool(part.grow), part.maxSizeMB or 0, part.disk or "", kind, part.lineno)
        )
        self._format(part, name)

    def array(self, raid: Any) -> None:
        name = self._name(raid.mountpoint)
        level = {"RAID0": 0, "RAID1": 1}.get(raid.level, -1)
        self.arrays.append(Array(name, raid.device, level, tuple(raid.members), _kind(raid), raid.lineno))
        self._format(raid, name)

    def volume(self, logvol: Any) -> None:
        volume = LogicalVolume(
            logvol.vgname,
            logvol.name,
            logvol.size or 0,
            bool(logvol.grow),
            logvol.maxSizeMB or 0,
            logvol.percent or 0,
            logvol.lineno,
        )
        self.volumes.append(volume)
        self._format(logvol, volume.name)

    def volume_or_subvolume(self, btrfs: Any) -> None:
        mounted = btrfs.mountpoint not in {"none", ""}
        if btrfs.subvol:
            parent = " ".join(btrfs.devices).removeprefix("LABEL=")
            place = btrfs.mountpoint if mounted else "none"
            self.file_systems.append(FileSystem(place, "btrfs", parent, subvolume=btrfs.name, line=btrfs.lineno))
            return
        name = btrfs.label or btrfs.mountpoint
        levels = (btrfs.dataLevel or "", btrfs.metaDataLevel or "")
        self.btrfs.append(Btrfs(name, tuple(btrfs.devices), btrfs.label or "", *levels, btrfs.lineno))
        if mounted:
            self.file_systems.append(FileSystem(btrfs.mountpoint, "btrfs", name, line=btrfs.lineno))

    def _format(self, item: Any, name: str) -> None:
        """Add a file system or swap space, unless the item is part of something else."""
        mountpoint = item.mountpoint
        if mountpoint.startswith("/") or mountpoint == "swap":
            fstype = "swap" if mountpoint == "swap" else item.fstype or "ext4"
            self.file_systems.append(
                FileSystem(
                    mountpoint,
                    FILE_SYSTEM.get(fstype, fstype),
                    name,
                    item.label or "",
                    item.fsopts or "",
                    line=item.lineno,
                )
            )


def _kind(item: Any) -> str:
    word = item.mountpoint.partition(".")[0]
    if item.fstype == "efi":
        return "esp"
    if item.fstype == "biosboot":
        return "biosboot"
    return {"swap": "swap", "pv": "lvm", "raid": "raid", "biosboot": "biosboot"}.get(word, "linux")


def mount_order(file_systems: Iterable[FileSystem]) -> list[FileSystem]:
    """The mounted file systems, parents first: / before /var before /var/log."""
    mounted = [fs for fs in file_systems if fs.mountpoint.startswith("/")]
    return sorted(mounted, key=lambda fs: [part for part in fs.mountpoint.split("/") if part])
