"""Remove the guest's registration with its vendor.

Removes Red Hat's subscription (identity, entitlements, facts) and the older system id, SUSE's
credentials, and the identifiers by which yum, dnf, zypper and smolt count machines. Two clones that
share a registration lose it. Ubuntu Pro, Landscape and Insights are handled by ``reset-agents``.
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
    "/etc/sysconfig/hw-uuid",
    "/etc/smolt/uuid",
    "/etc/smolt/hw-uuid",
    "/var/lib/yum/uuid",
    "/var/lib/dnf/repos/*/countme",
    "/etc/zypp/credentials.d/SCCcredentials",
    "/etc/zypp/credentials.d/NCCcredentials",
    "/var/lib/zypp/AnonymousUniqueId",
)


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(guest.sweep(*_REGISTRATION))
