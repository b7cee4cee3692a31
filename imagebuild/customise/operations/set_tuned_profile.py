"""Set the tuned profile.

Writes ``/etc/tuned/active_profile``, marks the profile as chosen manually, and enables tuned. tuned
must be installed, and the profile must exist in ``/usr/lib/tuned`` or ``/etc/tuned``, or in the
folder ``profiles`` of either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.linux import units
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE
_FOLDERS = ("/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned")


class Params(BaseParams):
    profile: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,80}$", description="a name such as virtual-guest")


def apply(guest: Guest, params: Params) -> None:
    if units.find(guest, "tuned.service") is None:
        raise GuestError(
            "the guest has no service tuned", "install its package first: install-packages: {packages: [tuned]}"
        )
    if not any(guest.real_file(f"{folder}/{params.profile}/tuned.conf") for folder in _FOLDERS):
        found = sorted({path.split("/")[-2] for path in guest.glob(*(f"{folder}/*/tuned.conf" for folder in _FOLDERS))})
        raise GuestError(f"tuned in the guest has no profile {params.profile}", f"it has {', '.join(found) or 'none'}")
    guest.create("/etc/tuned/active_profile", params.profile + "\n")
    guest.create("/etc/tuned/profile_mode", "manual\n")
    units.enable_as_installed(guest, "tuned.service")
