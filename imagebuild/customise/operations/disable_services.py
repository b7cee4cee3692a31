"""Do not start services when the guest boots.

Works like ``systemctl disable``, ``update-rc.d disable`` and OpenRC's ``rc-update del``; systemd
units are disabled together with the units listed in their ``Also=``. Nothing is masked: a service
can be enabled again, and a service that another one requires is still started. A service that does
not exist is not an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.linux import init_scripts, units
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import ServicesParams

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE
Params = ServicesParams


def apply(guest: Guest, params: ServicesParams) -> None:
    for name in params.services:
        unit = units.unit_name(name)
        if units.installed(guest, unit):
            units.disable(guest, unit)
        if guest.exists(f"/etc/init.d/{name}"):
            init_scripts.disable(guest, name)
            guest.remove(guest.glob(f"/etc/runlevels/*/{name}"), f"disabled {name}")
