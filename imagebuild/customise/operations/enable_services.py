"""Let services start with the guest.

systemd units, as ``systemctl enable`` links them: wanted by the targets and under the aliases that the unit's file names. A
service that the guest does not have is an error, and so is a unit that says nothing of when it starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise import units
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import ServicesParams
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE
Params = ServicesParams


def apply(guest: Guest, params: ServicesParams) -> None:
    for name in params.services:
        unit = units.unit_name(name)
        if units.find(guest, unit) is None:
            raise GuestError(
                f"the guest has no service {name}", "install its package before, or see its name in the guest"
            )
        units.enable_as_installed(guest, unit)
