"""The packages that storage, firmware and language need in the guest. They are added to those of %packages, as
Anaconda does. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from . import efi, luks, package_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

THIN = "thin-provisioning-tools"
_GRUB_BIOS = "grub-pc"
_PROGRAMS = {"xfs": "xfsprogs", "btrfs": "btrfs-progs", "vfat": "dosfstools", "efi": "dosfstools"}
_EXT, _EXT_PROGRAMS = ("", "ext2", "ext3", "ext4"), "e2fsprogs"
"""The packages with the programs that check file systems; an ext4 is what a line without --fstype makes. Debian's
standard system has those of ext4.
"""
_LOCALES, _PLAIN = "locales", frozenset({"", "C", "POSIX", "C.UTF-8", "C.utf8"})
"""Without this package a guest has the locales _PLAIN alone."""
_OF_AUTOPART = {None: ("lvm2",), 1: ("btrfs-progs",), 2: ("lvm2",), 3: ("lvm2", THIN)}
"""By pykickstart.constants.AUTOPART_TYPE_*."""
_BTRFS = 1
_TO_START = frozenset({"lvm2", "mdadm", "btrfs-progs", THIN, luks.PACKAGE, *efi.PACKAGES, *efi.SECURE_PACKAGES})
_NOT_EXCLUDED = _TO_START | {_LOCALES}
"""Without these the guest does not start, or lacks what it asks for; without others it only cannot check a file
system.
"""


class NeededPackage(NamedTuple):
    """One of ``packages``, of which the first is added, for the command ``what`` at a line."""

    line: int
    what: str
    packages: tuple[str, ...]


def problems(handler: Any, firmware: str) -> Iterator[tuple[int, str, str | None]]:
    """Line, message and hint of each package without which the guest would not start, and which %packages
    excludes.
    """
    all_needed = [*needed(handler, firmware)]
    if not all_needed:
        return
    chosen = package_names.choose(handler.packages)
    for one in all_needed:
        first = one.packages[0]
        if first in chosen.excluded and first in _NOT_EXCLUDED and not {*chosen.packages} & {*one.packages}:
            message = f"{one.what} needs the package {first} in the guest, which %packages excludes"
            yield one.line, message, f"remove -{first} from %packages"


def added(handler: Any, firmware: str) -> tuple[str, ...]:
    """The packages that %packages does not name and that are added."""
    all_needed = [*needed(handler, firmware)]
    if not all_needed:
        return ()
    chosen = package_names.choose(handler.packages)
    lacking = [one.packages[0] for one in all_needed if not {*chosen.packages} & {*one.packages}]
    if _GRUB_BIOS in chosen.packages:  # it conflicts with the first one
        lacking = [efi.PACKAGES[1] if name == efi.PACKAGES[0] else name for name in lacking]
    return tuple(dict.fromkeys(name for name in lacking if name not in chosen.excluded))


def needed(handler: Any, firmware: str) -> Iterator[NeededPackage]:
    """Everything that is needed for a guest with this ``firmware``: bios, uefi or uefi-secure."""
    yield from _storage(handler)
    yield from _firmware(handler, firmware)
    if named := [name for name in (handler.lang.lang, *(handler.lang.addsupport or [])) if name not in _PLAIN]:
        yield NeededPackage(handler.lang.lineno, f"lang {named[0]}", (_LOCALES,))


def _storage(handler: Any) -> Iterator[NeededPackage]:
    volumes, auto = handler.logvol.lvList, handler.autopart
    formatted = [*handler.partition.partitions, *handler.raid.raidList, *volumes]
    needs: dict[str, tuple[Iterable[Any], str]] = {
        "volgroup": (handler.volgroup.vgList, "lvm2"),
        "logvol --thinpool": ([volume for volume in volumes if volume.thin_pool], THIN),
        "raid": (handler.raid.raidList, "mdadm"),
        "btrfs": (handler.btrfs.btrfsList, "btrfs-progs"),
        "--encrypted": ([item for item in (auto, *formatted) if item.encrypted], luks.PACKAGE),
    }
    if auto.seen:
        needs |= {f"autopart {package}": ([auto], package) for package in _OF_AUTOPART.get(auto.type, ())}
    for fstype, package in _PROGRAMS.items():
        needs[f"--fstype={fstype}"] = ([item for item in (auto, *formatted) if item.fstype == fstype], package)
    if handler.packages.nocore:
        plain = [auto] if auto.seen and auto.type != _BTRFS else []
        ext = [item for item in (*plain, *_mounted(formatted)) if (item.fstype or "") in _EXT]
        needs["ext4"] = (ext, _EXT_PROGRAMS)
    for what, (lines, package) in needs.items():
        for item in lines:
            yield NeededPackage(item.lineno, what.removesuffix(f" {package}"), (package,))
            break


def _mounted(formatted: Iterable[Any]) -> Iterator[Any]:
    return (item for item in formatted if item.mountpoint.startswith("/"))


def _firmware(handler: Any, firmware: str) -> Iterator[NeededPackage]:
    formatted = [*handler.partition.partitions, *handler.raid.raidList]
    lines = [item.lineno for item in formatted if item.fstype == "efi"]
    if firmware != "bios":
        made = [command.lineno for command in (handler.reqpart, handler.autopart) if command.seen]
        lines += made
        yield from (NeededPackage(line, "UEFI", ("dosfstools",)) for line in made[:1])
    if lines and not (handler.bootloader.seen and handler.bootloader.location == "none"):
        yield NeededPackage(lines[0], "UEFI", efi.PACKAGES)
        if firmware == "uefi-secure":
            yield from (NeededPackage(lines[0], "secure boot", (package,)) for package in efi.SECURE_PACKAGES)
