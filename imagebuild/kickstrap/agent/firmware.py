"""How the installed system boots: which GRUB is installed where, and what layout it needs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import autopart
from .disks import ESP
from .errors import StorageError
from .machine import disk_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .disks import Storage
    from .layout import Placed
    from .machine import TargetMachine


class BootLoaders(NamedTuple):
    """``bios`` are the disks (from 0) that get GRUB for BIOS; ``efi``: GRUB is installed to the EFI
    system partition.
    """

    bios: tuple[int, ...]
    efi: bool
    secure: bool = False


def start(storage: Storage, placed: Sequence[Placed], machine: TargetMachine) -> BootLoaders:
    """The boot loaders for this layout: an ESP means UEFI, a biosboot partition BIOS; both are
    possible.

    Raises StorageError if the layout lacks what the machine's firmware needs.
    """
    if not storage.boots:
        return BootLoaders((), efi=False)
    efi = ESP in storage.mountpoints
    first = autopart.boot_disk(storage, machine)
    biosboot = {one.disk for one in placed if one.partition.kind == "biosboot"}
    if machine.uefi and not efi:
        raise StorageError(
            storage.line,
            "the machine's firmware is UEFI, but there is no EFI system partition",
            f"add: part {ESP} --fstype=efi --size=200, or reqpart",
        )
    if efi and storage.label == "msdos":
        raise StorageError(storage.line, "UEFI needs a GPT", "write clearpart --disklabel=gpt, or omit --disklabel")
    wants_bios = not machine.uefi or bool(biosboot)
    if not wants_bios:
        return BootLoaders((), efi, machine.secure)
    disks = {first, *_mirrors(storage, placed)}
    if storage.label == "gpt" and (lacking := sorted(disks - biosboot)):
        disk = disk_name(lacking[0])
        raise StorageError(
            storage.line,
            f"GRUB for BIOS needs a biosboot partition on {disk}, which has a GPT",
            f"add: part biosboot --size=1 --ondisk={disk}, or set machine.firmware: uefi in the recipe",
        )
    return BootLoaders(tuple(sorted(disks)), efi, machine.secure)


def _mirrors(storage: Storage, placed: Sequence[Placed]) -> set[int]:
    """The disks of the RAID 1 that contains /boot: each must boot without the others."""
    boot = "/boot" if "/boot" in storage.mountpoints else "/"
    on = {fs.on for fs in storage.file_systems if fs.mountpoint == boot}
    groups = {volume.group for volume in storage.volumes if volume.name in on}
    for group in storage.groups:
        on |= set(group.members) if group.name in groups else set()
    for btrfs in storage.btrfs:
        on |= set(btrfs.members) if btrfs.name in on else set()
    members = {name for array in storage.arrays if array.level == 1 and array.name in on for name in array.members}
    return {one.disk for one in placed if one.partition.name in members}


def check(storage: Storage, placed: Sequence[Placed], machine: TargetMachine) -> None:
    """Raise StorageError if the machine could not boot, or if one disk holds all copies of a
    mirror.
    """
    for array in storage.arrays:
        on = [one.disk for one in placed if one.partition.name in array.members]
        if array.level == 1 and len(set(on)) < len(on) and len(machine.disks) > 1:
            raise StorageError(
                array.line,
                f"raid {array.name}: two of its members are on the same disk, so they mirror nothing",
                "put each member on a separate disk with --ondisk",
            )
    start(storage, placed, machine)
