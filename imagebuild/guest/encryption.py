"""Unlocking LUKS encryption on a guest's disks."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from imagebuild.errors import GuestError
from imagebuild.guest import fstab
from imagebuild.guest.block import devices
from imagebuild.guest.shell import Shell

HINT = "give its passphrase with `--key DEVICE:env:NAME` or `--key DEVICE:file:PATH`"
ALL = "all"
_IN_MEMORY = "/dev/shm/imagebuild-passphrase"  # noqa: S108 - of the appliance


@dataclass(frozen=True)
class Key:
    """A passphrase for a device of the guest, by its name there or by its LUKS UUID, or for
    ``all``."""

    device: str
    value: str = field(repr=False)


def open_all(guestfs: Any, keys: Sequence[Key]) -> list[Key]:
    """Unlock everything that there is a key for, and everything inside it, as
    /dev/mapper/luks-UUID.

    Returns the matching key for each device by its name here. GuestError for a key that unlocks
    nothing.
    """
    if not keys:
        return []
    used: set[Key] = set()
    opened: dict[str, Key] = {}
    seen: set[str] = set()
    while found := [device for device in encrypted(guestfs) if device not in seen]:
        for device in found:
            seen.add(device)
            fitting = _keys_for(keys, device, guestfs.luks_uuid(device))
            used.update(fitting)
            if fitting:
                opened[device] = Key(device, _open(guestfs, device, fitting))
        guestfs.lvm_scan(activate=True)
    for key in keys:
        if key not in used:
            there = (
                f"encrypted devices: {', '.join(sorted(seen))}" if seen else "nothing on the guest's disks is encrypted"
            )
            raise GuestError(f"the key for {key.device} matches nothing in the guest", there)
    return list(opened.values())


def encrypted(guestfs: Any) -> list[str]:
    """All devices with LUKS on them, including unlocked ones."""
    return [device for device in dict.fromkeys(devices(guestfs)) if guestfs.vfs_type(device) == "crypto_LUKS"]


def mapped(guestfs: Any, device: str) -> str | None:
    """The device under which ``device``, which has LUKS on it, is unlocked; None if it is locked."""
    name = _mapper(guestfs.luks_uuid(device))
    return name if name in guestfs.list_dm_devices() else None


def locked(guestfs: Any, device_names: Iterable[str]) -> GuestError:
    """The error for devices that must be unlocked first."""
    return GuestError(f"{', '.join(device_names)} in this guest is encrypted with LUKS", HINT)


def _keys_for(keys: Sequence[Key], device: str, uuid: str) -> list[Key]:
    """The keys for the device itself, followed by the keys for all devices."""
    own = [key for key in keys if key.device.lower() == uuid.lower() or fstab.identifier(key.device)[1] == device]
    return own + [key for key in keys if key.device == ALL]


def _open(guestfs: Any, device: str, keys: Sequence[Key]) -> str:
    """The first passphrase that unlocks ``device``."""
    name = _mapper(guestfs.luks_uuid(device))
    if name in guestfs.list_dm_devices():
        raise GuestError(
            f"{device} has the LUKS UUID of another device", "one is a copy of the other: leave its disk out"
        )
    for key in keys:
        try:
            _open_with(guestfs, device, name.removeprefix("/dev/mapper/"), key.value)
        except GuestError as error:
            if "No key available" not in str(error):
                raise
        else:
            return key.value
    raise GuestError(
        f"the key for {device} does not unlock it", "check that it is the passphrase, with nothing before or after it"
    )


def _open_with(guestfs: Any, device: str, name: str, passphrase: str) -> None:
    """Unlock a device in such a way that discards are passed through to the disk.

    libguestfs's call does not use ``--allow-discards``, and it cannot be added afterwards: anything
    on the device, such as a logical volume, is activated immediately and detects that discards are
    not supported. Without discards, free space would have to be overwritten, and every free block
    of an encrypted image would occupy space.
    """
    memory = os.memfd_create("passphrase")  # it must not become a file on the host
    try:
        os.write(memory, passphrase.encode("utf-8", "surrogateescape"))
        os.lseek(memory, 0, os.SEEK_SET)
        guestfs.debug_upload(f"/proc/self/fd/{memory}", _IN_MEMORY, 0o600)
    finally:
        os.close(memory)
    shell = Shell(guestfs)
    options = ("--type", "luks", "--allow-discards", "--key-file", _IN_MEMORY)
    command = shlex.join(("cryptsetup", "open", *options, shell.device(device), name))
    shell.line(f"trap 'rm -f {_IN_MEMORY}' EXIT; LC_ALL=C {command}")


def _mapper(uuid: str) -> str:
    return f"/dev/mapper/luks-{uuid}"
