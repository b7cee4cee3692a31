"""Give unused blocks back to the disk image.

Discards the free space of every mounted file system, so that what was deleted does not end up in
the compressed image. Runs after all other operations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SEAL
Params = NoParams


def apply(guest: Guest, params: NoParams) -> None:
    for mountpoint in guest.mountpoints():
        guest.trim(mountpoint)
