"""Remove the database of a Kerberos server.

Removes the keys of all principals of a KDC in the guest, its stash file and its access control
list. Not in the default set: a guest that is a KDC on purpose is useless without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "secret"
REPLACES = ("kerberos-data",)
Params = NoParams

_DATA = (
    "/var/kerberos/krb5kdc/*",
    "/var/kerberos/krb5kdc/.k5.*",
    "/var/lib/krb5kdc/*",
    "/etc/krb5kdc/stash",
    "/etc/krb5kdc/.k5.*",
)
_STAY = ("kdc.conf", "kadm5.acl")


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(path for path in guest.sweep(*_DATA) if not path.endswith(_STAY))
