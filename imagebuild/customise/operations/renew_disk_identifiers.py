"""Give file systems and partitions new identifiers, with all that names them.

Every file system (ext2 to 4, xfs, btrfs, vfat) and swap area gets a new UUID, every GPT and its partitions new GUIDs, every MBR a new
signature. Whatever in ``/etc`` and ``/boot`` names an old one, in any spelling, is changed with it: fstab, crypttab, GRUB's configuration
and environment, Boot Loader Specification entries, the kernel's command line, the stub of the EFI partition, units and hooks named after a
device, and what is inside of the initramfs images. Afterwards nothing there names an old one, or the operation fails.

Not in the default set: clones of one template may share these, as long as no two disks of the same origin are in one machine. Each
run gives new ones. Identifiers of LVM and RAID stay. Two things with one identifier, and a file of more than 256 MiB there, are errors. Where GRUB's core image on a BIOS machine has one compiled in (it says so in
``load.cfg``, mostly with ``/boot`` on RAID or LVM), the operation fails before it changes anything.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from imagebuild.customise import initramfs
from imagebuild.customise.identifiers import Renaming, fresh, known
from imagebuild.customise.operation import NotApplicable, Phase
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest
    from imagebuild.guest.block import Identifier

PHASE = Phase.SCRUB
REPLACES = ("fs-uuids",)

Kind = Literal["file systems", "partitions"]


class Params(BaseParams):
    kinds: tuple[Kind, ...] = Field(
        default=("file systems", "partitions"), min_length=1, description="which ones: `file systems`, `partitions`"
    )


_FOLDERS = ("/etc", "/boot")
_LARGEST = 256 << 20
"""Bytes of the largest file in /boot."""
_INITRAMFS = ("initrd", "initramfs")
_COMPILED_IN = "/boot/grub*/*-pc/load.cfg"


def apply(guest: Guest, params: Params) -> None:
    identifiers = guest.identifiers()
    _check_once(identifiers, params.kinds)
    old = known(identifiers, params.kinds)
    if not old:
        raise NotApplicable("nothing on its disks has an identifier that can be renewed")
    pairs = {one.value: fresh(one) for one in old}
    renaming = Renaming(pairs)
    for path in guest.real_files(_COMPILED_IN):
        if renaming.names(guest.read_bytes(path)):
            raise GuestError(
                f"GRUB's core image finds /boot by an identifier that is compiled in ({path})",
                "`kinds` can leave it out; GRUB would have to be installed again",
            )
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


def _check_once(identifiers: list[Identifier], kinds: tuple[Kind, ...]) -> None:
    """GuestError if two things have the same identifier: what the guest means by it nobody can tell."""
    places: dict[tuple[str, str, int], str] = {}
    for one in identifiers:
        # btrfs on several devices has the same on each.
        if one.kind in kinds and one.type != "btrfs":
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
