"""dm-crypt keeps discards to itself unless it was opened with ``allow_discards`` (dm-crypt, kernel documentation)."""

from __future__ import annotations

from collections.abc import Iterable

from imagebuild.guest.shell import Shell

_RELOAD = """set -e
for name in $(dmsetup ls --target crypt | cut -f1); do
    dmsetup table --showkeys "$name" | grep -q allow_discards && continue
    dmsetup table --showkeys "$name" |
        awk '{ if (NF == 8) { print $0, 1, "allow_discards" } else { $9 = $9 + 1; print $0, "allow_discards" } }' |
        dmsetup reload "$name"
    dmsetup resume "$name"
done"""
"""The table of a crypt target has 8 fields, then perhaps the number of its options and the options."""


def allow_discards(shell: Shell, devices: Iterable[str]) -> None:
    """Let discards through to the disk, if one of ``devices`` is, or may be on, something encrypted.

    Without that the free space would have to be overwritten, and every free block of an encrypted image would then take room.
    """
    if any(not device.startswith("/dev/sd") for device in devices):
        shell.line(_RELOAD)
