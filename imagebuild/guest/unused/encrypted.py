"""dm-crypt keeps discards to itself unless it was opened with ``allow_discards`` (dm-crypt, kernel documentation).

libguestfs does not open it so. The key may be in a keyring that only the program has which opened it: so the passphrase is needed again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from imagebuild.guest.shell import Shell

_IN_MEMORY = "/dev/shm/imagebuild-passphrase"  # noqa: S108 - of the appliance


def allow_discards(guestfs: Any, shell: Shell, passphrases: Mapping[str, str]) -> None:
    """Let discards through to the disk in what is open: passphrases by the devices below /dev/mapper.

    Without that the free space would have to be overwritten, and every free block of an encrypted image would then take room.
    """
    for device, passphrase in passphrases.items():
        _upload(guestfs, passphrase)
        options = ("--allow-discards", "--key-file", _IN_MEMORY)
        shell.line(f"trap 'rm -f {_IN_MEMORY}' EXIT; cryptsetup refresh {' '.join(options)} '{device}'")
    if passphrases:
        # A logical volume on it has learnt what it can when it was activated.
        shell.line("lvm vgchange --refresh >/dev/null")


def _upload(guestfs: Any, passphrase: str) -> None:
    """Put the passphrase into the appliance, without a file of it on the host."""
    memory = os.memfd_create("passphrase")
    try:
        os.write(memory, passphrase.encode("utf-8", "surrogateescape"))
        os.lseek(memory, 0, os.SEEK_SET)
        guestfs.debug_upload(f"/proc/self/fd/{memory}", _IN_MEMORY, 0o600)
    finally:
        os.close(memory)
