"""Give file systems, partitions and volumes new identifiers, wherever they stand.

Every file system (ext2 to 4, xfs, btrfs, vfat) and swap area gets a new UUID, every GPT and its partitions new GUIDs, every MBR a new
signature, and so do LVM's physical volumes, volume groups and logical volumes, RAID arrays (md, superblock 1) and LUKS1 and LUKS2 headers.
Whatever in ``/etc`` and ``/boot`` names an old one, in any spelling, is changed with it: fstab, crypttab, mdadm.conf, LVM's list of
devices and backups, GRUB's configuration and environment, Boot Loader Specification entries, the kernel's command line, the stub of the EFI
partition, units and hooks named after a device, and what is inside of the initramfs images. Afterwards nothing there names an old one, or
the operation fails. Names and passphrases stay, but for names with an identifier in them, such as ``/dev/mapper/luks-UUID``.

Not in the default set: clones of one template may share these, as long as no two disks of the same origin are in one machine. Each
run gives new ones. What is inside of LUKS is renewed only if ``--key`` opens it. Two things with one identifier, and a file of more than
256 MiB there, are errors. Where GRUB's core image on a BIOS machine has one compiled in, the operation fails before it changes anything:
with ``/boot`` on LVM, RAID or LUKS, and where its ``load.cfg`` says so.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from imagebuild.customise import initramfs
from imagebuild.customise.identifiers import Renaming, fresh, once
from imagebuild.customise.operation import NotApplicable, Phase
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest
    from imagebuild.guest.block import Identifier

PHASE = Phase.SCRUB
REPLACES = ("fs-uuids", "lvm-uuids")

Kind = Literal["file systems", "partitions", "volumes"]


class Params(BaseParams):
    kinds: tuple[Kind, ...] = Field(
        default=("file systems", "partitions", "volumes"),
        min_length=1,
        description="which ones: `file systems`, `partitions`, `volumes` (LVM, RAID, LUKS)",
    )


_FOLDERS = ("/etc", "/boot")
_LARGEST = 256 << 20
"""Bytes of the largest file in /boot."""
_INITRAMFS = ("initrd", "initramfs")
_CORE = "/boot/grub*/*-pc/core.img"
_COMPILED_IN = "/boot/grub*/*-pc/load.cfg"


def apply(guest: Guest, params: Params) -> None:
    identifiers = guest.identifiers(params.kinds)
    _check_once(identifiers)
    old = once(identifiers)
    if not old:
        raise NotApplicable("nothing on its disks has an identifier that can be renewed")
    pairs = {one.value: fresh(one) for one in old}
    renaming = Renaming(pairs)
    _check_core(guest, renaming, volumes=any(one.kind == "volumes" for one in old))
    found = _look(guest, renaming)
    for path, content in found.contents.items():
        guest.replace(path, content, "new identifiers")
    for path, target in found.targets.items():
        guest.symlink(target, path)
    for path, name in reversed(found.names.items()):
        guest.rename(path, posixpath.join(posixpath.dirname(path), name))
    guest.renew_identifiers([(one, pairs[one.value]) for one in old])
    left = _look(guest, renaming)
    paths = [*left.contents, *left.targets, *left.names]
    if paths:
        raise GuestError(f"old identifiers are left in {', '.join(paths[:5])}")


def _check_core(guest: Guest, renaming: Renaming, *, volumes: bool) -> None:
    """GuestError if GRUB's core image, which cannot be changed here, finds /boot by what is about to be renewed."""
    named = [path for path in guest.real_files(_COMPILED_IN) if renaming.names(guest.read_bytes(path))]
    if volumes and (cores := guest.real_files(_CORE)) and not guest.device("/boot").startswith("/dev/sd"):
        # grub-install then has (lvmid/…), (mduuid/…) or (cryptouuid/…) as the prefix.
        named += cores
    if named:
        raise GuestError(
            f"GRUB's core image finds /boot by an identifier that is compiled in ({named[0]})",
            "`kinds` can leave it out; GRUB would have to be installed again",
        )


def _check_once(identifiers: list[Identifier]) -> None:
    """GuestError if two things have the same identifier: what the guest means by it nobody can tell."""
    places: dict[tuple[str, str, int], str] = {}
    for one in identifiers:
        # btrfs on several devices has the same on each.
        if one.type != "btrfs":
            other = places.setdefault((one.type, one.value, one.number), one.device)
            if other != one.device:
                raise GuestError(
                    f"{other} and {one.device} both have the {one.type} identifier {one.value}",
                    "one is a copy of the other: leave its disk out, or give it another identifier first",
                )


@dataclass
class _Found:
    """What names an old identifier, by its path: files with their new content, links with their new target, new last names."""

    contents: dict[str, bytes] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


def _look(guest: Guest, renaming: Renaming) -> _Found:
    """Look at everything in /etc and /boot. GuestError for an initramfs that cannot be read; changes nothing."""

    def text(old: str) -> str:
        return renaming(old.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    found = _Found()
    for path, entry in (one for folder in _FOLDERS for one in guest.walk(folder)):
        if (name := text(entry.name)) != entry.name:
            found.names[path] = name
        if entry.kind == "symlink" and (target := text(old := guest.readlink(path))) != old:
            found.targets[path] = target
        if entry.kind == "file" and entry.size > 0 and not _is_module(path):
            content = guest.read_bytes(path, _LARGEST)
            inside = path.startswith("/boot/") and entry.name.startswith(_INITRAMFS)
            new = initramfs.rewritten(content, renaming) if inside else renaming(content)
            if new != content:
                found.contents[path] = new
    return found


def _is_module(path: str) -> bool:
    """GRUB's modules and fonts, and kernels: many, large, and nothing of them names a disk."""
    name = posixpath.basename(path)
    return path.endswith((".mod", ".pf2", ".lst", ".mo")) or name.startswith(("vmlinuz", "System.map", "config-"))
