"""Finds problems in the arrays, volume groups and logical volumes of a kickstart, each with its line. Pure."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from . import disks, volumes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .disks import LogicalVolume, Storage

Problem = tuple[int, str, str | None]
"""Line, message, hint."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_+.-]{0,100}")
_RESERVED = re.compile(r"snapshot|pvmove|.*_(mlog|mimage|rimage|rmeta|tdata|tmeta)")
_ARRAY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,30}")
_LEVELS = "use 0, 1, 4, 5, 6 or 10"
_AFTER = 0
"""pykickstart.constants.SNAPSHOT_WHEN_POST_INSTALL"""


def arrays(storage: Storage, handler: Any) -> Iterator[Problem]:
    """Problems of ``raid`` lines."""
    for array, said in zip(storage.arrays, handler.raid.raidList, strict=True):
        where, active = f"raid {array.name}", len(array.members) - array.spares
        least = volumes.LEAST_MEMBERS.get(array.level, 2)
        if array.level < 0:
            yield array.line, f"{where}: --level={said.level} is not supported by kickstrap", _LEVELS
        elif active < least:
            needs = f"an array of level {array.level} needs at least {least} members"
            yield array.line, f"{where}: {needs}, but this one has {max(0, active)}", None
        if not _ARRAY.fullmatch(array.device):
            yield (
                array.line,
                f"{where}: --device={array.device} is not a valid array name",
                "use a name like md0 or data",
            )
        if array.chunk and (array.chunk < 4 or array.chunk & (array.chunk - 1)):
            yield array.line, f"{where}: --chunksize={array.chunk} is not a power of 2 from 4 KiB on", None
        if array.kind == "esp" and (array.level != 1 or array.spares):
            yield array.line, f"{where}: firmware can only read RAID 1", "write --level=1"
        if array.kind == "raid" or array.name == "biosboot":
            yield array.line, f"{where}: an array on arrays is not supported by kickstrap", None
    for name, count in Counter(array.device for array in storage.arrays).items():
        if count > 1:
            line = [array.line for array in storage.arrays if array.device == name][1]
            yield line, f"raid: the device {name} is already taken", None


def groups(storage: Storage) -> Iterator[Problem]:
    """Problems of ``volgroup`` and ``logvol`` lines."""
    names = [group.name for group in storage.groups]
    for index, group in enumerate(storage.groups):
        if not _NAME.fullmatch(group.name) or group.name in {".", ".."}:
            yield group.line, f"volgroup: {group.name!r} is not a valid volume group name", None
        if group.name in names[:index]:
            yield group.line, f"volgroup: the name {group.name} is already taken", None
        if group.extent & (group.extent - 1) or not 4 <= group.extent <= 1 << 20:
            yield (
                group.line,
                f"volgroup {group.name}: --pesize={group.extent} is not a power of 2 from 4 KiB to 1 GiB",
                None,
            )
    for index, volume in enumerate(storage.volumes):
        if volume.group not in names:
            yield volume.line, f"logvol: there is no volgroup {volume.group}", f"add: volgroup {volume.group} pv.1"
        if not _NAME.fullmatch(volume.volume) or _RESERVED.match(volume.volume):
            yield volume.line, f"logvol: {volume.volume!r} is not a valid logical volume name", None
        if volume.name in [other.name for other in storage.volumes[:index]]:
            yield volume.line, f"logvol: the name {volume.name} is already taken", None
        if volume.maxsize and volume.maxsize < volume.size:
            yield volume.line, f"logvol {volume.name}: --maxsize is smaller than --size", None
        yield from _thin(volume, storage)
    known = {volume.name for volume in storage.volumes}
    for fs in storage.file_systems:
        if fs.on in known and (
            fs.mountpoint == disks.ESP or not (fs.mountpoint.startswith("/") or fs.mountpoint == "swap")
        ):
            yield fs.line, f"logvol {fs.mountpoint}: firmware cannot read LVM", None


def _thin(volume: LogicalVolume, storage: Storage) -> Iterator[Problem]:
    pools = [one.volume for one in storage.volumes if one.is_pool and one.group == volume.group]
    if volume.pool and volume.pool not in pools:
        yield (
            volume.line,
            f"logvol {volume.name}: there is no thin pool {volume.pool} in {volume.group}",
            f"add: logvol none --thinpool --vgname={volume.group} --name={volume.pool} --size=1024 --grow",
        )
    if volume.chunk and (volume.chunk % 64 or not 64 <= volume.chunk <= 1 << 20):
        yield volume.line, f"logvol {volume.name}: --chunksize={volume.chunk} is not a multiple of 64 KiB", None
    if volume.pool and storage.boots:
        boot = "/boot" if "/boot" in storage.mountpoints else "/"
        if any(fs.on == volume.name and fs.mountpoint == boot for fs in storage.file_systems):
            yield volume.line, f"logvol {boot}: GRUB cannot read a thin volume", "add: part /boot --size=1024"


def snapshots(handler: Any, storage: Storage) -> Iterator[Problem]:
    """Problems of ``snapshot`` lines."""
    thin = [volume.name for volume in storage.volumes if volume.pool]
    taken = {volume.name for volume in storage.volumes}
    for said in handler.snapshot.dataList():
        group = said.origin.partition("/")[0]
        if said.when != _AFTER:
            yield said.lineno, "snapshot: the disks have no earlier state", "write --when=post-install, or remove it"
        elif said.origin not in thin:
            yield said.lineno, f"snapshot: there is no thin volume {said.origin}", "write VOLUME_GROUP/LOGICAL_VOLUME"
        elif not _NAME.fullmatch(said.name or "") or _RESERVED.match(said.name):
            yield said.lineno, f"snapshot: {said.name!r} is not a valid logical volume name", None
        elif f"{group}/{said.name}" in taken:
            yield said.lineno, f"snapshot: the name {said.name} is already taken", None
        taken.add(f"{group}/{said.name}")
