"""Start services when the guest boots.

systemd units are enabled as ``systemctl enable`` does it: links are created for the targets and
aliases in the unit's ``[Install]`` section, and for the units listed in ``Also=``. If there is no
systemd unit, an init script is enabled: either in OpenRC's default runlevel, or with the links of
``chkconfig on``, or on Debian with those of ``update-rc.d``, from which systemd generates a unit. A
service that does not exist, is masked, or does not say when it starts is an error.
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
                f"the guest has no service {name}",
                "install its package first, or check the name of the service in the guest",
            )
