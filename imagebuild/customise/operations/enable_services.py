"""Let services start with the guest.

systemd units, as ``systemctl enable`` links them: wanted by the targets and under the aliases that the unit's file names, with the units that
it names in ``Also=``. Where systemd has no such unit, init scripts: in OpenRC's runlevel default, as ``chkconfig on`` links them, or on Debian as
``update-rc.d`` does, for systemd to make a unit of it. A service that the guest does not have is an error, and so is one that is masked or says
nothing of when it starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.linux import init_scripts, units
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
        if units.find(guest, unit) is not None:
            units.enable_as_installed(guest, unit)
        elif guest.real_file(f"/etc/init.d/{name}"):
            init_scripts.enable(guest, name)
        else:
            raise GuestError(
                f"the guest has no service {name}", "install its package before, or see its name in the guest"
            )
