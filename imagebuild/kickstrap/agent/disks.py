"""The storage of a kickstart, as plain values in MiB. Pure.

Everything that can contain something else has a name: a partition ``pv.01``, or its mount point; a
RAID array the word in place of its mount point; a logical volume ``GROUP/NAME``. ``line`` is its
line in the kickstart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

ESP = "/boot/efi"
"""The mount point of the EFI system partition."""
DEFAULT_PARTITION = 500
"""MiB of a partition without --size, as with Anaconda (blivet's FALLBACK_DEFAULT_PART_SIZE)."""


class Partition(NamedTuple):
    """A partition. ``kind``: linux, swap, lvm, raid, esp or biosboot; ``disk`` is that of --ondisk,
    or empty. One that %pre has created is named by ``existing``, such as ``vda1``, and only formatted.
    """

    name: str
    size: int = 0
    grow: bool = False
    maxsize: int = 0
    disk: str = ""
    kind: str = "linux"
    line: int = 0
    primary: bool = False
    existing: str = ""


class Array(NamedTuple):
    """A RAID array ``device`` of ``members``, of which the last ``spares`` are spares; other items
    refer to it as ``name``. ``chunk`` in KiB, or 0 for mdadm's default.
    """

    name: str
    device: str
    level: int
    members: tuple[str, ...]
    kind: str = "linux"
    line: int = 0
    spares: int = 0
    chunk: int = 0


class VolumeGroup(NamedTuple):
    """An LVM volume group; ``extent`` in KiB. ``reserved`` MiB of it, or ``reserved_percent``, are left
    free when volumes grow; with ``for_pool`` also what autopart leaves for a thin pool.
    """

    name: str
    members: tuple[str, ...]
    extent: int = 4096
    line: int = 0
    reserved: int = 0
    reserved_percent: int = 0
    for_pool: bool = False


class LogicalVolume(NamedTuple):
    """``percent`` of the whole group, or ``size``; ``grow`` uses the free space, up to ``maxsize``
    if it is not 0.

    A thin pool (``is_pool``) has a ``chunk`` in KiB and ``metadata`` in MiB, each 0 for the default. A
    thin volume is in the ``pool`` of its group.
    """

    group: str
    volume: str
    size: int = 0
    grow: bool = False
    maxsize: int = 0
    percent: int = 0
    line: int = 0
    is_pool: bool = False
    pool: str = ""
    chunk: int = 0
    metadata: int = 0

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
    mkfs: tuple[str, ...] = ()


class FileSystem(NamedTuple):
    """A file system, swap space (mount point ``swap``) or btrfs subvolume on the item named ``on``.

    A subvolume that is not mounted has the mount point ``none``. ``mkfs`` are further words for the
    program that creates it.
    """

    mountpoint: str
    fstype: str = "ext4"
    on: str = ""
    label: str = ""
    options: str = ""
    subvolume: str = ""
    line: int = 0
    mkfs: tuple[str, ...] = ()


class Encrypted(NamedTuple):
    """The item ``on`` holds LUKS2, and what it would otherwise hold is inside. An empty ``cipher`` is
    cryptsetup's default.
    """

    on: str
    passphrase: str
    cipher: str = ""
    line: int = 0

    def __repr__(self) -> str:
        return f"Encrypted(on={self.on!r})"  # the passphrase must not get into a traceback


class Snapshot(NamedTuple):
    """A snapshot ``name`` of the thin volume ``of``, taken at the end of the installation."""

    of: str
    name: str
    line: int = 0


class Autopart(NamedTuple):
    """``autopart``; ``scheme``: plain, lvm, thinp or btrfs."""

    scheme: str = "lvm"
    fstype: str = "ext4"
    boot: bool = True
    home: bool = True
    swap: bool = True
    line: int = 0
    encrypted: Encrypted | None = None


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
    encrypted: tuple[Encrypted, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()

    @property
    def members(self) -> list[Partition | Array]:
        """The items that can contain others."""
        return [*self.partitions, *self.arrays]

    @property
    def mountpoints(self) -> tuple[str, ...]:
        return tuple(fs.mountpoint for fs in self.file_systems)


def mount_order(file_systems: Iterable[FileSystem]) -> list[FileSystem]:
    """The mounted file systems, parents first: / before /var before /var/log."""
    mounted = [fs for fs in file_systems if fs.mountpoint.startswith("/")]
    return sorted(mounted, key=lambda fs: [part for part in fs.mountpoint.split("/") if part])
