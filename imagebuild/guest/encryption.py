"""Opening what is encrypted with LUKS on a guest's disks."""

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

HINT = "`--key DEVICE:env:NAME` or `--key DEVICE:file:PATH` gives its passphrase"
ALL = "all"
_IN_MEMORY = "/dev/shm/imagebuild-passphrase"  # noqa: S108 - of the appliance


@dataclass(frozen=True)
class Key:
    """A passphrase for a device of the guest's, by its name there or by its LUKS UUID, or for ``all``."""

    device: str
    value: str = field(repr=False)


def open_all(guestfs: Any, keys: Sequence[Key]) -> list[Key]:
    """Open everything that there is a key for, and what is in it, as /dev/mapper/luks-UUID.

    Returns the key that fits for each device by its name here. GuestError for a key that opens nothing.
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
            there = f"encrypted are: {', '.join(sorted(seen))}" if seen else "nothing on its disks is encrypted"
            raise GuestError(f"there is nothing in the guest that the key for {key.device} could open", there)
    return list(opened.values())


def encrypted(guestfs: Any) -> list[str]:
    """All devices with LUKS on them, open ones too."""
    return [device for device in dict.fromkeys(devices(guestfs)) if guestfs.vfs_type(device) == "crypto_LUKS"]


def mapped(guestfs: Any, device: str) -> str | None:
    """The device that ``device`` with LUKS on it is opened as; None if it is not."""
    name = _mapper(guestfs.luks_uuid(device))
    return name if name in guestfs.list_dm_devices() else None


def locked(guestfs: Any, device_names: Iterable[str]) -> GuestError:
    """The error for devices that would have to be opened first."""
    return GuestError(f"{', '.join(device_names)} in this guest is encrypted with LUKS", HINT)


def _keys_for(keys: Sequence[Key], device: str, uuid: str) -> list[Key]:
    """Those for the device itself before those for all."""
    own = [key for key in keys if key.device.lower() == uuid.lower() or fstab.identifier(key.device)[1] == device]
    return own + [key for key in keys if key.device == ALL]


def _open(guestfs: Any, device: str, keys: Sequence[Key]) -> str:
    """The first passphrase that opens ``device``."""
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
        f"the key for {device} does not open it", "is it the passphrase, without anything before or after it?"
    )


def _open_with(guestfs: Any, device: str, name: str, passphrase: str) -> None:
    """Open a device so that discards get through to the disk.

    libguestfs's call leaves out ``--allow-discards``. It cannot be added afterwards: what lies on it, such as a logical volume, is
    activated at once and has then learnt that there are none. Without discards free space would have to be overwritten, and every free
    block of an encrypted image would take room.
    """
    memory = os.memfd_create("passphrase")  # no file of it on the host
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
