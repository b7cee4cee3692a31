"""Give file systems and partitions new identifiers, with all that names them.

Every file system (ext2 to 4, xfs, btrfs, vfat) and swap area gets a new UUID, every GPT and its partitions new GUIDs, every MBR a new
signature. Whatever in ``/etc`` and ``/boot`` names an old one, in any spelling, is changed with it: fstab, crypttab, GRUB's configuration
and environment, Boot Loader Specification entries, the kernel's command line, the stub of the EFI partition, units and hooks named after a
device, and what is inside of the initramfs images. Afterwards nothing there names an old one, or the operation fails.

Not in the default set: clones of one template may share these, as long as no two disks of the same origin are in one machine. Each
run gives new ones. Identifiers of LVM and RAID stay. Where GRUB's core image on a BIOS machine has one compiled in (it says so in
``load.cfg``, mostly with ``/boot`` on RAID or LVM), the operation fails before it changes anything.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from imagebuild.customise import initramfs
from imagebuild.customise.identifiers import Renaming, fresh, known
from imagebuild.customise.operation import NotApplicable, Phase
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

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
    old = known(guest.identifiers(), params.kinds)
    if not old:
        raise NotApplicable("nothing on its disks has an identifier that can be renewed")
    pairs = {one.value: fresh(one) for one in old}
    renaming = Renaming(pairs)
    for path in guest.glob(_COMPILED_IN):
        if guest.real_file(path) and renaming.names(guest.read_bytes(path)):
            raise GuestError(
                f"GRUB's core image finds /boot by an identifier that is compiled in ({path})",
                "`kinds` can leave it out; GRUB would have to be installed again",
            )
    changes = _changes(guest, renaming)
    for path, content in changes.items():
        guest.replace(path, content, "new identifiers")
    for path, target in _links(guest, renaming).items():
        guest.symlink(_renamed(target, renaming), path)
    for path in reversed(_named(guest, renaming)):
        folder, name = posixpath.split(path)
        guest.rename(path, posixpath.join(folder, _renamed(name, renaming)))
    guest.renew_identifiers([(one, pairs[one.value]) for one in old])
    left = [*_changes(guest, renaming), *_links(guest, renaming), *_named(guest, renaming)]
    if left:
        raise GuestError(f"old identifiers are left in {', '.join(left[:5])}")


def _changes(guest: Guest, renaming: Renaming) -> dict[str, bytes]:
    """Every file that names an old identifier, with its new content. GuestError before anything is changed."""
    found = {}
    for folder in _FOLDERS:
        for path, entry in guest.walk(folder):
            if entry.kind != "file" or not 0 < entry.size <= _LARGEST or _is_module(path):
                continue
            content = guest.read_bytes(path, _LARGEST)
            is_initramfs = folder == "/boot" and entry.name.startswith(_INITRAMFS)
            new = initramfs.rewritten(content, renaming) if is_initramfs else renaming(content)
            if new != content:
                found[path] = new
    return found


def _renamed(text: str, renaming: Renaming) -> str:
    return renaming(_bytes(text)).decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _links(guest: Guest, renaming: Renaming) -> dict[str, str]:
    """Every symbolic link whose target names an old identifier, with the target."""
    links = [path for folder in _FOLDERS for path, entry in guest.walk(folder) if entry.kind == "symlink"]
    targets = {path: guest.readlink(path) for path in links}
    return {path: target for path, target in targets.items() if renaming.names(_bytes(target))}


def _named(guest: Guest, renaming: Renaming) -> list[str]:
    """Every path whose last part names an old identifier, folders before what is in them."""
    paths = [path for folder in _FOLDERS for path, _ in guest.walk(folder)]
    return [path for path in paths if renaming.names(_bytes(posixpath.basename(path)))]


def _is_module(path: str) -> bool:
    """GRUB's modules and fonts, and kernels: many, large, and nothing of them names a disk."""
    name = posixpath.basename(path)
    return path.endswith((".mod", ".pf2", ".lst", ".mo")) or name.startswith(("vmlinuz", "System.map", "config-"))
