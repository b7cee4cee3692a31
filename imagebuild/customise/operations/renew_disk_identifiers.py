"""Renew the identifiers of file systems, partitions and volumes everywhere.

Every file system (ext2 to 4, xfs, btrfs, vfat) and swap area gets a new UUID, every GPT and its
partitions get new GUIDs, and every MBR gets a new signature. LVM's physical volumes, volume groups
and logical volumes, RAID arrays (md, superblock 1) and LUKS1 and LUKS2 headers get new UUIDs too.

Every reference to an old identifier, in any spelling, is changed with it: in ``/etc``, ``/boot``,
``/efi``, on every EFI system partition and every other partition with a boot loader's files
(whether or not fstab lists it), in ``/usr/lib/kernel``, and in the initramfs images stored by kdump
and kernel packages. This includes fstab, crypttab, mdadm.conf, LVM's list of devices and backups,
GRUB's configuration and environment, Boot Loader Specification entries, the kernel command line,
the stub configuration on the EFI partition, units and hooks named after a device, and the contents
of initramfs images, unified kernel images, GRUB's UEFI program and U-Boot scripts. If any of these
still contains an old identifier afterwards, the operation fails. Names and passphrases stay, except
names that contain an identifier, such as ``/dev/mapper/luks-UUID``.

Not in the default set: clones of one template may share these identifiers, as long as no two disks
of the same origin are in one machine. Each run generates new ones. Identifiers inside LUKS are
renewed only if ``--key`` unlocks it. Two things with the same identifier are an error, and so is a
file of more than 256 MiB in these places.

The operation fails before it changes anything if the boot loader could no longer find its files: if
GRUB's core image on a BIOS machine has an identifier compiled in (with ``/boot`` on LVM, RAID or
LUKS, or if its ``load.cfg`` contains one), if LILO or zipl record the locations of files on the
disk, or if a UEFI program or unified kernel image that contains an identifier is signed.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from imagebuild.customise.identifiers import Renaming, fresh, once
from imagebuild.customise.linux import boot_files
from imagebuild.customise.operation import NotApplicable, Phase
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imagebuild.customise.guest import Guest
    from imagebuild.guest import GuestFile
    from imagebuild.guest.block import Identifier

PHASE = Phase.SCRUB
REPLACES = ("fs-uuids", "lvm-uuids")

Kind = Literal["file systems", "partitions", "volumes"]


class Params(BaseParams):
    kinds: tuple[Kind, ...] = Field(
        default=("file systems", "partitions", "volumes"),
        min_length=1,
        description="what to renew: `file systems`, `partitions`, `volumes` (LVM, RAID, LUKS)",
    )


_FOLDERS = ("/etc", "/boot", "/efi", "/usr/lib/kernel", "/usr/lib/dracut/dracut.conf.d", "/var/lib/kdump")
_FILES = ("/usr/lib/modules/*/init*", "/lib/modules/*/init*")
_LARGEST = 256 << 20
"""The size in bytes of the largest file that is accepted there."""
_COMPILED_IN = "grub*/*/load.cfg"
_BY_PLACE = {"LILO": ("/etc/lilo.conf", "/boot/map"), "zipl": ("/boot/bootmap",)}
"""Boot loaders that record which blocks of the disk their files occupy (lilo.conf(5), zipl(8)). A
file that is rewritten is in other blocks."""


def apply(guest: Guest, params: Params) -> None:
    identifiers = guest.identifiers(params.kinds)
    _check_once(identifiers)
    old = once(identifiers)
    if not old:
        raise NotApplicable("nothing on the guest's disks has an identifier that can be renewed")
    pairs = {one.value: fresh(one) for one in old}
    renaming = Renaming(pairs)
    with guest.boot_partitions() as partitions:
        _check_loaders(guest, renaming, partitions, volumes=any(one.kind == "volumes" for one in old))
        found = _look(guest, renaming, partitions)
        for path, content in found.contents.items():
            guest.replace(path, content, "new identifiers")
        for path, target in found.targets.items():
            guest.symlink(target, path)
        for path, name in reversed(found.names.items()):
            guest.rename(path, posixpath.join(posixpath.dirname(path), name))
    guest.renew_identifiers([(one, pairs[one.value]) for one in old])
    with guest.boot_partitions() as partitions:
        left = _look(guest, renaming, partitions)
        paths = [*left.contents, *left.targets, *left.names]
        if paths:
            raise GuestError(f"old identifiers remain in {', '.join(paths[:5])}")


def _check_loaders(guest: Guest, renaming: Renaming, partitions: list[str], *, volumes: bool) -> None:
    """Raise GuestError if a boot loader finds its files by something that cannot be changed here."""
    for loader, paths in _BY_PLACE.items():
        if all(guest.exists(path) for path in paths):
            raise GuestError(
                f"this guest boots with {loader}, which records where its files are on the disk ({paths[0]})",
                f"renew the identifiers in the running guest, and then run {loader.lower()} there",
            )
    places = ["/boot", *(one + middle for one in partitions for middle in ("", "/boot"))]
    named = [
        path
        for path in guest.real_files(*(f"{place}/{_COMPILED_IN}" for place in places))
        # On a UEFI machine it is in a program on the EFI system partition, where it can be changed.
        if not path.split("/")[-2].endswith("-efi") and renaming.names(guest.read_bytes(path))
    ]
    cores = guest.real_files(*(f"{place}/grub*/*-pc/core.img" for place in places))
    if volumes and cores and not guest.device("/boot").startswith("/dev/sd"):
        # In this case grub-install sets (lvmid/…), (mduuid/…) or (cryptouuid/…) as the prefix.
        named += cores
    if named:
        raise GuestError(
            f"GRUB's core image finds /boot by an identifier that is compiled in ({named[0]})",
            "leave this kind out of `kinds`; otherwise GRUB would have to be reinstalled",
        )


def _check_once(identifiers: list[Identifier]) -> None:
    """Raise GuestError if two things have the same identifier, since the guest's references are
    then ambiguous."""
    places: dict[tuple[str, str, int], str] = {}
    for one in identifiers:
        # btrfs on several devices has the same identifier on each of them.
        if one.type != "btrfs":
            other = places.setdefault((one.type, one.value, one.number), one.device)
            if other != one.device:
                raise GuestError(
                    f"{other} and {one.device} both have the {one.type} identifier {one.value}",
                    "one is a copy of the other: leave its disk out, or change its identifier first",
                )


@dataclass
class _Mentions:
    """Everything that contains an old identifier, by path: files with their new content, links with
    their new target, and new file names."""

    contents: dict[str, bytes] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


def _look(guest: Guest, renaming: Renaming, partitions: list[str]) -> _Mentions:
    """Inspect everything that may contain an identifier, without changing anything. GuestError if
    something contains one but cannot be changed."""

    def text(old: str) -> str:
        return renaming(old.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    found = _Mentions()
    for path, entry in _everything(guest, partitions):
        if (name := text(entry.name)) != entry.name:
            found.names[path] = name
        if entry.kind == "symlink" and (target := text(old := guest.readlink(path))) != old:
            found.targets[path] = target
        if entry.kind == "file" and entry.size > 0 and not _is_module(path):
            content = guest.read_bytes(path, _LARGEST)
            new = renaming(content) if path.startswith("/etc/") else boot_files.renamed(path, content, renaming)
            if new is not content:
                found.contents[path] = new
    return found


def _everything(guest: Guest, partitions: list[str]) -> Iterator[tuple[str, GuestFile]]:
    """Each file, folder and link once, however many links lead to it."""
    seen: set[str] = set()
    for folder in (*_FOLDERS, *partitions):
        if not guest.leads_to_folder(folder):
            continue
        for path, entry in guest.walk(guest.realpath(folder)):
            if path not in seen:
                seen.add(path)
                yield path, entry
    for path in guest.real_files(*_FILES):
        real = guest.realpath(path)
        there = guest.stat(real)
        if there is not None and real not in seen:
            seen.add(real)
            yield real, there


def _is_module(path: str) -> bool:
    """Whether it is a GRUB module, a font or a kernel: these are many or large, and none of them
    contains an identifier of a disk."""
    name = posixpath.basename(path)
    return path.endswith((".mod", ".pf2", ".lst", ".mo")) or (
        name.startswith(("vmlinuz", "System.map", "config-")) and not name.endswith(".efi")
    )
