"""Finds problems in the encryption that a kickstart asks for, each with its line. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from . import disks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .disks import Encrypted, Storage

Problem = tuple[int, str, str | None]
"""Line, message, hint."""
_CIPHER = re.compile(r"[a-z0-9]+-[a-z0-9:-]+")
_LONGEST = 512
"""The bytes of a passphrase that cryptsetup reads from a terminal."""
_MISSING = "set encryption.passphrase in the recipe, and write --passphrase={{ encryption.passphrase }}"


def problems(handler: Any, storage: Storage) -> Iterator[Problem]:
    """All problems; no message contains a passphrase."""
    said = [handler.autopart, *handler.partition.partitions, *handler.raid.raidList, *handler.logvol.lvList]
    for item in said:
        version = item.luks_version or "luks2"
        if item.encrypted and version != "luks2":
            yield item.lineno, f"--luks-version={version} is not supported by kickstrap", "use luks2"
    automatic = [storage.autopart.encrypted] if storage.autopart is not None and storage.autopart.encrypted else []
    for one in (*automatic, *storage.encrypted):
        for message, hint in _of(one):
            yield one.line, message, hint
    yield from _not_encrypted(storage)


def _of(one: Encrypted) -> Iterator[tuple[str, str | None]]:
    if not one.passphrase:
        yield "--encrypted needs a passphrase: nobody could enter it during the installation", _MISSING
    elif len(one.passphrase.encode()) > _LONGEST:
        yield f"the passphrase is longer than {_LONGEST} bytes: nobody could enter it", None
    if one.cipher and not _CIPHER.fullmatch(one.cipher):
        yield f"--cipher={one.cipher} is not a cipher", "write it as aes-xts-plain64"


def _not_encrypted(storage: Storage) -> Iterator[Problem]:
    """What must be readable before anybody can enter a passphrase."""
    locked = {one.on for one in storage.encrypted}
    for array in storage.arrays:
        locked |= {array.name} if locked & set(array.members) else set()
    for group in storage.groups:
        if locked & set(group.members):
            locked |= {volume.name for volume in storage.volumes if volume.group == group.name}
    locked |= {volume.name for volume in storage.btrfs if locked & set(volume.members)}
    boot = "/boot" if "/boot" in storage.mountpoints else "/"
    for fs in storage.file_systems:
        if fs.on not in locked:
            continue
        if fs.mountpoint == disks.ESP:
            yield fs.line, f"{disks.ESP} cannot be encrypted: firmware reads it", "remove --encrypted"
        elif fs.mountpoint == boot and storage.boots:
            hint = "add: part /boot --size=1024" if boot == "/" else "remove --encrypted"
            yield fs.line, f"{boot} cannot be encrypted: GRUB reads the kernel from it", hint
    for part in storage.partitions:
        if part.kind == "biosboot" and part.name in locked:
            yield part.line, "biosboot cannot be encrypted: GRUB is in it", "remove --encrypted"
    if storage.autopart is not None and storage.autopart.encrypted and not storage.autopart.boot and storage.boots:
        yield (
            storage.autopart.line,
            "/ cannot be encrypted without /boot: GRUB reads the kernel from it",
            "remove --noboot",
        )
