"""Make cloud-init take the next boot for the first one of a new instance.

Removes what it keeps of the instance that the image was made on: its metadata and user data, which may hold passwords and
keys, its logs and the network configuration that it wrote for that instance's card. ``/etc/cloud`` and seeds that are
part of an image stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, NotApplicable, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "identity"
REPLACES = ()
Params = NoParams

_STATE = (
    "/var/lib/cloud/instance",
    "/var/lib/cloud/instances/*",
    "/var/lib/cloud/data/*",
    "/var/lib/cloud/sem/*",
    "/var/lib/cloud/handlers/*",
    "/var/log/cloud-init.log*",
    "/var/log/cloud-init-output.log*",
    "/run/cloud-init/*",
)
_WRITTEN = (
    "/etc/netplan/50-cloud-init.yaml",
    "/etc/network/interfaces.d/50-cloud-init*",
    "/etc/NetworkManager/system-connections/cloud-init-*.nmconnection",
    "/etc/systemd/network/10-cloud-init-*.network",
    "/etc/udev/rules.d/85-persistent-net-cloud-init.rules",
)


def apply(guest: Guest, params: NoParams) -> None:
    if not guest.exists("/etc/cloud") and not guest.exists("/var/lib/cloud"):
        raise NotApplicable("no cloud-init in this guest")
    guest.remove(guest.sweep(*_STATE))
    if guest.exists("/etc/cloud/cloud.cfg"):
        guest.remove(guest.sweep(*_WRITTEN), "removed: cloud-init writes it anew")
