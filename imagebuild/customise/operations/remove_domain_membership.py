"""Make the guest leave its directory domain.

Keys and databases by which FreeIPA, Active Directory (realmd, adcli, SSSD, Samba) and Kerberos know this one machine: the
host's keytab, SSSD's and Samba's databases and logs, the FreeIPA client's state and certificates. Configurations stay, so
a clone joins anew under its own name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "secret"
REPLACES = ("ipa-client", "kerberos-hostkeytab", "samba-db-log", "sssd-db-log")
Params = NoParams

_MEMBERSHIP = (
    "/etc/krb5.keytab",
    "/etc/samba/*.keytab",
    "/etc/ipa/ca.crt",
    "/etc/ipa/nssdb/*",
    "/var/lib/ipa-client/sysrestore/*",
    "/var/lib/ipa-client/pki/*",
    "/var/log/ipaclient-install.log",
    "/var/log/ipaclient-uninstall.log",
    "/var/lib/sss/db/*",
    "/var/lib/sss/mc/*",
    "/var/lib/sss/secrets/*",
    "/var/lib/sss/pubconf/krb5.include.d/*",
    "/var/log/sssd/*",
    "/var/lib/samba/*.tdb",
    "/var/lib/samba/*/*.tdb",
    "/var/lib/samba/private/*.ldb",
    "/var/lib/samba/private/*.keytab",
    "/var/cache/samba/*.tdb",
    "/var/lock/samba/*.tdb",
    "/var/log/samba/*",
)


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove_files(*_MEMBERSHIP)
