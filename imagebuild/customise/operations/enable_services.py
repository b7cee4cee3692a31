"""Let services start with the guest.

systemd units, as ``systemctl enable`` links them: wanted by the targets and under the aliases that the unit's file names. A
service that the guest does not have is an error, and so is a unit that says nothing of when it starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise import units
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import Unit
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    services: tuple[Unit, ...] = Field(min_length=1, description="names such as sshd, or of units such as fstrim.timer")


def apply(guest: Guest, params: Params) -> None:
    for name in params.services:
        unit = units.unit_name(name)
        if units.find(guest, unit) is None:
            raise GuestError(
                f"the guest has no service {name}", "install its package before, or see its name in the guest"
            )
        units.enable_as_installed(guest, unit)
