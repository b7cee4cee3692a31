"""Remove the leases handed out by a DHCP server in the guest.

Covers ISC dhcpd, Kea, dnsmasq (including libvirt's), udhcpd, dibbler and systemd-networkd. The
files are emptied rather than removed, because dhcpd does not start without its lease file. The
identifiers that Kea and dibbler generated for themselves are removed; they generate new ones.
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
    "/var/lib/misc/dnsmasq*.leases",
    "/var/lib/misc/udhcpd.leases",
    "/var/lib/dnsmasq/*.leases",
    "/var/lib/libvirt/dnsmasq/*.leases",
    "/var/lib/libvirt/dnsmasq/*.status",
    "/var/lib/systemd/network/dhcp-server-lease/*",
)
_IDENTIFIERS = ("/var/lib/kea/kea-dhcp6-serverid", "/var/lib/dibbler/server-*")


def apply(guest: Guest, params: NoParams) -> None:
    guest.empty(guest.sweep(*_LEASES))
    guest.remove_files(*_IDENTIFIERS)
