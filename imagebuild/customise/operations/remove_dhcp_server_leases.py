"""Remove the leases that a DHCP server in the guest has given out.

Of ISC dhcpd, Kea, dnsmasq and systemd-networkd. The files are emptied, since dhcpd does not start without its lease file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "trace"
REPLACES = ("dhcp-server-state",)
Params = NoParams

_LEASES = (
    "/var/lib/dhcpd/*.leases*",
    "/var/lib/dhcp/dhcpd*.leases*",
    "/var/lib/kea/*.csv*",
    "/var/lib/misc/dnsmasq.leases",
    "/var/lib/dnsmasq/*.leases",
    "/var/lib/systemd/network/dhcp-server-lease/*",
)


def apply(guest: Guest, params: NoParams) -> None:
    guest.empty(guest.sweep(*_LEASES))
