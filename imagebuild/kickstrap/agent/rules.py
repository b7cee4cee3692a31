"""Finds problems in the storage of a kickstart, each with its line. Pure.

First each line is checked, then how the lines fit together, then whether everything fits the
machine.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

from . import autopart, disks, encryption_rules, existing_rules, firmware, layout, storage_reader, volume_rules, volumes
from .errors import StorageError
from .machine import UNLIMITED, TargetMachine, disk_name, disk_number, partition_place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .disks import Storage

Problem = tuple[int, str, str | None]
"""Line, message, hint."""

_LONGEST_LABEL = {"ext2": 16, "ext3": 16, "ext4": 16, "xfs": 12, "btrfs": 255, "vfat": 11, "swap": 15}
_SUPPORTED = ("ext2", "ext3", "ext4", "xfs", "btrfs", "vfat")
_FILE_SYSTEMS = "use ext4, xfs, btrfs, ext3, ext2 or vfat, and efi for /boot/efi"
_NOT_FOR_FILES = ("/dev", "/proc", "/run", "/sys")
_MEMBER = re.compile(r"(pv|raid|btrfs)\.[A-Za-z0-9_-]+")
_USED_BY = {"pv": "volgroup", "raid": "raid", "btrfs": "btrfs"}


def problems(handler: Any, machine: TargetMachine | None, *, complete: bool = True) -> Iterator[Problem]:
    """All problems. Without ``machine`` the disks are assumed to be large enough, and the firmware
    is not checked. If the storage is not ``complete``, each line is checked alone.
    """
    storage = storage_reader.make(handler)
    found = [*_clearpart(handler.clearpart, storage), *_autopart(storage), *_disk_names(handler, storage)]
    volumes_with_content = [volume for volume in handler.logvol.lvList if not volume.thin_pool]
    formatted = {"part": handler.partition.partitions, "raid": handler.raid.raidList, "logvol": volumes_with_content}
    for command, items in formatted.items():
        for item in items:
            found += [(item.lineno, f"{command} {message}", hint) for message, hint in _formatted(item)]
    found += [*_partitions(storage), *existing_rules.problems(handler, storage)]
    if complete:
        found += _together(handler, storage)
    yield from found
    if complete and not found:
        yield from _on_the_machine(storage, machine)


def _together(handler: Any, storage: Storage) -> list[Problem]:
    """How the lines fit together."""
    found = [*volume_rules.arrays(storage, handler), *volume_rules.groups(storage)]
    found += [*_btrfs(storage), *encryption_rules.problems(handler, storage), *volume_rules.snapshots(handler, storage)]
    return [*found, *_members(storage), *_mount_points(storage), *_subvolumes(storage)]


def _clearpart(clearpart: Any, storage: Storage) -> Iterator[Problem]:
    if storage.label not in {"", "msdos", "gpt"}:
        label = f"clearpart: --disklabel={storage.label} is not supported by kickstrap"
        yield clearpart.lineno, label, "use gpt or msdos"


def _autopart(storage: Storage) -> Iterator[Problem]:
    """Check autopart, which defines the whole layout; pykickstart refuses other commands next to
    it, except btrfs.
    """
    if storage.autopart is None:
        return
    line, scheme, fstype = storage.autopart.line, storage.autopart.scheme, storage.autopart.fstype
    if storage.btrfs:
        yield storage.btrfs[0].line, "autopart and btrfs exclude each other", "remove one of them"
    if scheme not in {"plain", "lvm", "thinp", "btrfs"}:
        yield line, f"autopart: --type={scheme} is not supported by kickstrap", "use plain, lvm, thinp or btrfs"
    if fstype not in {"ext4", "xfs"}:
        yield line, f"autopart: --fstype={fstype} is not supported by kickstrap", "use ext4 or xfs"


def _disk_names(handler: Any, storage: Storage) -> Iterator[Problem]:
    named = [(part.line, f"part {part.name}: --ondisk", part.disk) for part in storage.partitions if part.disk]
    named += [(handler.ignoredisk.lineno, "ignoredisk", name) for name in (*storage.only, *storage.ignored)]
    named += [(handler.clearpart.lineno, "clearpart: --drives", name) for name in storage.cleared]
    if storage.boot_disk:
        named.append((handler.bootloader.lineno, "bootloader: --boot-drive", storage.boot_disk))
    for line, where, name in named:
        if disk_number(name) is None:
            yield (
                line,
                f"{where}: {name!r} is not a known disk",
                "name the disks in the recipe's order: vda, vdb, … or disk/by-id/virtio-target, virtio-target2, …",
            )


def _formatted(item: Any) -> Iterator[tuple[str, str | None]]:
    """Problems of a single part, raid or logvol line."""
    where, fstype = item.mountpoint, storage_reader.FILE_SYSTEM.get(item.fstype, item.fstype) or "ext4"
    if where.startswith("/"):
        if not re.fullmatch(r"/|(/[A-Za-z0-9._-]+)+", where) or ".." in where.split("/"):
            yield f"{where}: this mount point is not supported by kickstrap", "use a path like /var"
        if any(where == place or where.startswith(place + "/") for place in _NOT_FOR_FILES):
            yield f"{where}: this mount point belongs to the kernel", None
        if (item.fstype == "efi") != (where == disks.ESP):
            yield f"{where}: --fstype=efi and {disks.ESP} belong together", f"part {disks.ESP} --fstype=efi --size=200"
        elif fstype not in _SUPPORTED and item.fstype != "efi":
            yield f"{where}: --fstype={item.fstype} is not supported by kickstrap", _FILE_SYSTEMS
    elif where == "swap":
        fstype = "swap"
        if item.fstype not in {"", None, "swap"}:
            yield f"swap: --fstype={item.fstype} is not swap space", None
    elif where == "biosboot":
        if item.fstype not in {"", None, "biosboot"}:
            yield f"biosboot: --fstype={item.fstype} is not supported by kickstrap", None
    elif not _MEMBER.fullmatch(where):
        yield (
            f"{where}: this mount point is not supported by kickstrap",
            "use a path, swap, pv.1, raid.1 or btrfs.1",
        )
    if len((item.label or "").encode()) > _LONGEST_LABEL.get(fstype, 255):
        yield f"{where}: --label is longer than {_LONGEST_LABEL[fstype]} bytes, the limit of {fstype}", None
    if re.search(r"\s", item.fsopts or ""):
        yield f"{where}: --fsoptions contains a space", "separate mount options with commas"
    yield from _mkfs_options(where, item.mkfsopts or "")


def _mkfs_options(where: str, text: str) -> Iterator[tuple[str, str | None]]:
    try:
        words = shlex.split(text)
    except ValueError:
        yield f"{where}: --mkfsoptions has a quote that does not end", None
        return
    if any(word.startswith("/") for word in words):
        yield f"{where}: --mkfsoptions names a file", "name only options: kickstrap adds the device itself"


def _partitions(storage: Storage) -> Iterator[Problem]:
    for part in storage.partitions:
        if part.size < 1 and part.kind != "swap" and not part.existing:
            yield part.line, f"part {part.name}: --size is not a size in MiB", "write at least 1"
        if part.maxsize and part.maxsize < part.size:
            yield part.line, f"part {part.name}: --maxsize is smaller than --size", None
        if part.kind == "biosboot" and storage.label == "msdos":
            yield part.line, "part biosboot needs a GPT", "write clearpart --disklabel=gpt, or omit --disklabel"
        if part.kind == "esp" and storage.label == "msdos":
            yield part.line, "an EFI system partition needs a GPT", "write clearpart --disklabel=gpt"


def _btrfs(storage: Storage) -> Iterator[Problem]:
    for index, volume in enumerate(storage.btrfs):
        if volume.name in [other.name for other in storage.btrfs[:index]]:
            yield volume.line, f"btrfs: the volume {volume.name} is already defined", None
        if volume.name == "none":
            yield volume.line, "btrfs none: --label is missing", "subvolumes refer to their volume by its label"
        for level in (volume.data, volume.metadata):
            least = {"raid0": 2, "raid1": 2, "raid10": 4}.get(level, 1)
            if len(volume.members) < least:
                yield volume.line, f"btrfs {volume.name}: {level} needs at least {least} members", None


def _subvolumes(storage: Storage) -> Iterator[Problem]:
    volumes = {volume.label for volume in storage.btrfs if volume.label}
    for fs in storage.file_systems:
        if not fs.subvolume:
            continue
        if fs.on not in volumes:
            yield fs.line, f"btrfs --subvol: there is no btrfs volume with the label {fs.on}", None
        if not re.fullmatch(r"[A-Za-z0-9@_.-]+(/[A-Za-z0-9@_.-]+)*", fs.subvolume) or ".." in fs.subvolume.split("/"):
            yield fs.line, f"btrfs --subvol: {fs.subvolume!r} is not a valid subvolume name", None
        if any(
            other is not fs and (other.on, other.subvolume) == (fs.on, fs.subvolume) for other in storage.file_systems
        ):
            yield fs.line, f"btrfs --subvol: the name {fs.subvolume} is used twice", None


def _members(storage: Storage) -> Iterator[Problem]:
    """Check that every member exists, is of the right kind, and is used once."""
    parts = {part.name for part in storage.partitions}
    arrays = {array.name for array in storage.arrays}
    users: list[tuple[str, int, Sequence[str], str, set[str]]] = []
    users += [(f"raid {array.name}", array.line, array.members, "raid", parts) for array in storage.arrays]
    users += [(f"volgroup {group.name}", group.line, group.members, "pv", parts | arrays) for group in storage.groups]
    users += [(f"btrfs {one.name}", one.line, one.members, "btrfs", parts | arrays) for one in storage.btrfs]
    used: set[str] = set()
    for where, line, members, word, there in users:
        for name in members:
            if name not in there:
                yield line, f"{where}: there is no {name}", f"add: part {word}.1 --size=1024"
            elif not name.startswith(f"{word}."):
                yield line, f"{where}: {name} cannot be a member", f"its members are called {word}.1, {word}.2, …"
            elif name in used:
                yield line, f"{where}: {name} is already in use", None
            used.add(name)
    for item in storage.members:
        if _MEMBER.fullmatch(item.name) and item.name not in used:
            by = _USED_BY[item.name.partition(".")[0]]
            yield item.line, f"{item.name} is not used", f"name it in a {by} line, or remove it"
    names = [item.name for item in storage.members if _MEMBER.fullmatch(item.name)]
    for item in storage.members:
        if names.count(item.name) > 1:
            yield item.line, f"part {item.name}: this name is already taken", None


def _mount_points(storage: Storage) -> Iterator[Problem]:
    seen: set[str] = set()
    for fs in storage.file_systems:
        if fs.mountpoint.startswith("/") and fs.mountpoint in seen:
            yield fs.line, f"part {fs.mountpoint}: this mount point is already taken", None
        seen.add(fs.mountpoint)
    if "/" not in seen and storage.autopart is None:
        line = storage.partitions[0].line if storage.partitions else 1
        yield line, "there is no root partition", "add: part / --fstype=ext4 --size=1024 --grow"


def _on_the_machine(storage: Storage, machine: TargetMachine | None) -> Iterator[Problem]:
    """The first problem with the machine."""
    try:
        whole = autopart.complete(storage, machine or _roomy(storage))
        placed = layout.place(whole, machine or _roomy(storage))
        volumes.check_fits(whole, placed)
        if machine is not None:
            firmware.check(whole, placed, machine)
    except StorageError as error:
        yield error.line, error.sentence, error.hint


def _roomy(storage: Storage) -> TargetMachine:
    """A machine with all named disks, of unlimited size."""
    names = [part.disk for part in storage.partitions if part.disk]
    names += [disk_name(there[0]) for part in storage.partitions if (there := partition_place(part.existing))]
    names += [*storage.only, *storage.ignored, *storage.cleared, *([storage.boot_disk] if storage.boot_disk else [])]
    last = max((disk_number(name) or 0 for name in names), default=0) + bool(storage.ignored)
    return TargetMachine((UNLIMITED,) * (last + 1))
