"""The inventory of a guest: its system, packages, accounts, units, files and disks.

Paths and names are the guest's own: bytes that are not UTF-8 are lone surrogates (surrogateescape),
and nothing is safe to print. Sizes are in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

SCHEMA = 2
"""Incremented when a field is added, is removed or changes its meaning. It is an input of the step
that customises a disk: a result without the current inventory is made again."""

SETUID, SETGID = 0o4000, 0o2000


class FileRecord(NamedTuple):
    """What is at a path. ``kind`` is find's letter: f file, d folder, l link, p pipe, s socket, b
    and c devices.

    ``size`` is 0 for all but files, ``target`` is what a link contains, ``capabilities`` is the
    attribute ``security.capability`` in hexadecimal, and ``sha256`` is empty for a file that was
    not read.
    """

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    size: int = 0
    target: str = ""
    capabilities: str = ""
    sha256: str = ""

    @property
    def privileges(self) -> tuple[str, ...]:
        """What somebody who runs this file gains: setuid, setgid, capabilities."""
        if self.kind != "f":
            return ()
        setgid = self.mode & SETGID and self.mode & 0o010  # without the group's x bit it only marks locking
        bits = (("setuid", self.mode & SETUID), ("setgid", setgid), ("capabilities", self.capabilities))
        return tuple(name for name, given in bits if given)


class PackageRecord(NamedTuple):
    """An installed package, as the guest's package database describes it. What it does not say is
    empty or 0.

    ``source`` is the source package it was built from and ``source_version`` its version; ``vendor``
    who maintains or distributes it; ``licences`` are the names that the guest uses, not yet SPDX's.
    ``size`` is what the package manager says that its files occupy.
    """

    name: str
    version: str
    architecture: str = ""
    source: str = ""
    source_version: str = ""
    vendor: str = ""
    homepage: str = ""
    size: int = 0
    licences: tuple[str, ...] = ()


class UnownedFile(NamedTuple):
    """A regular file that belongs to no package; ``sha256`` is empty if it was not read."""

    path: str
    sha256: str = ""


@dataclass(frozen=True)
class SystemRelease:
    """The fields of os-release(5) that name a system, and the architecture of its programs."""

    id: str = ""
    version: str = ""
    codename: str = ""
    name: str = ""
    architecture: str = ""


@dataclass(frozen=True)
class GuestAccount:
    """A line of /etc/passwd. ``login`` says with what somebody can log in, as far as the account's
    own files show: password, empty password, key."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    login: tuple[str, ...] = ()


@dataclass(frozen=True)
class EnabledUnit:
    """A unit that starts at boot. ``wanted_by`` are the targets that want it, ``listens`` the
    addresses of a socket unit, and ``vendor`` marks one that its package itself enables."""

    name: str
    wanted_by: tuple[str, ...] = ()
    listens: tuple[str, ...] = ()
    vendor: bool = False

    @property
    def is_listening(self) -> bool:
        """Whether systemd listens for it."""
        return self.name.endswith(".socket")


@dataclass(frozen=True)
class FolderSize:
    """The bytes that a folder with all its contents occupies on the disk; a file with several names
    is counted once."""

    path: str
    size: int


@dataclass(frozen=True)
class DiskArea:
    """A partition, or a volume on partitions: ``number`` and ``start`` are 0 for a volume.

    ``type`` is the type in the partition table, or lvm, crypt, raid1 and the like. ``used`` is None
    if the file system is not mounted, and ``capacity`` is what it has room for.
    """

    name: str
    number: int
    start: int
    size: int
    type: str = ""
    label: str = ""
    filesystem: str = ""
    filesystem_label: str = ""
    mountpoint: str = ""
    used: int | None = None
    capacity: int | None = None


@dataclass(frozen=True)
class DiskLayout:
    """A disk; ``table`` is gpt, dos, or empty for none. A disk without a table has one area with
    the number 0 if it has a file system."""

    size: int
    table: str = ""
    areas: tuple[DiskArea, ...] = ()


@dataclass(frozen=True)
class Inventory:
    """Everything. ``packages`` is None if the guest's package database could not be read;
    ``package_format`` is dpkg, rpm, apk or empty.

    ``installed`` describes the same packages, each once per architecture and version, sorted, and
    ``unowned`` are the files of no package. Both are None if that is not known: the database could
    not be read, or the inventory has schema 1, which has neither.
    """

    system: SystemRelease
    package_format: str
    packages: dict[str, str] | None
    accounts: tuple[GuestAccount, ...]
    units: tuple[EnabledUnit, ...]
    kernels: tuple[str, ...]
    folders: tuple[FolderSize, ...]
    disks: tuple[DiskLayout, ...]
    volumes: tuple[DiskArea, ...]
    files: tuple[FileRecord, ...]
    installed: tuple[PackageRecord, ...] | None = None
    unowned: tuple[UnownedFile, ...] | None = None

    @property
    def privileged(self) -> tuple[FileRecord, ...]:
        """The files that are setuid or setgid or have capabilities."""
        return tuple(one for one in self.files if one.privileges)

    @property
    def listening(self) -> tuple[EnabledUnit, ...]:
        """The socket units that are enabled."""
        return tuple(one for one in self.units if one.is_listening)

    @property
    def used(self) -> int:
        """The bytes in use in all mounted file systems."""
        return sum(area.used or 0 for area in (*self.volumes, *(area for disk in self.disks for area in disk.areas)))
