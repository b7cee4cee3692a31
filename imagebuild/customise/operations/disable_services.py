"""Let services not start with the guest.

As ``systemctl disable``, ``update-rc.d disable`` and OpenRC's ``rc-update del`` do; systemd's with the units that it names in ``Also=``. Nothing is masked: a service can be enabled again, and one that another service
needs is started nevertheless. A service that is not there is no error.
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
