"""Remove what registers the guest with its vendor.

Red Hat's subscription (identity, entitlements, facts) and the older system id, SUSE's and Ubuntu Pro's credentials, and the
identifiers by which yum, dnf, zypper and smolt count a machine. Two clones that share a registration lose it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "identity"
REPLACES = ("rh-subscription-manager", "rhn-systemid", "smolt-uuid", "yum-uuid")
Params = NoParams

_REGISTRATION = (
    "/etc/pki/consumer/*",
    "/etc/pki/entitlement/*",
    "/var/lib/rhsm/*",
    "/var/log/rhsm/*",
    "/etc/sysconfig/rhn/systemid",
    "/etc/sysconfig/rhn/systemid.save",
    "/etc/sysconfig/rhn/osad-auth.conf",
    "/etc/insights-client/machine-id",
    "/etc/insights-client/.registered",
    "/etc/insights-client/.last-upload*",
    "/etc/sysconfig/hw-uuid",
    "/etc/smolt/uuid",
    "/etc/smolt/hw-uuid",
    "/var/lib/yum/uuid",
    "/var/lib/dnf/repos/*/countme",
    "/etc/zypp/credentials.d/SCCcredentials",
    "/etc/zypp/credentials.d/NCCcredentials",
    "/var/lib/zypp/AnonymousUniqueId",
    "/var/lib/ubuntu-advantage/private/*",
    "/var/lib/ubuntu-advantage/machine-access-*.json",
    "/var/lib/ubuntu-advantage/machine-token.json",
    "/var/log/ubuntu-advantage*.log",
)


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(guest.sweep(*_REGISTRATION))
