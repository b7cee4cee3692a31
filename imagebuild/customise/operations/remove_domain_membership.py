"""Make the guest leave its directory domain.

Removes the keys and databases that identify this machine to FreeIPA, Active Directory (realmd,
adcli, SSSD, Samba) and Kerberos: the host's keytab; the databases and logs of SSSD and Samba; the
FreeIPA client's state, certificates and ``default.conf``, which names the machine and makes the
client believe that it is enrolled; and certmonger's requests. Other configuration stays, so that a
clone joins under its own name.
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
    "/etc/ipa/default.conf",
    "/etc/ipa/.dns_ccache",
    "/etc/ipa/nssdb/*",
    "/var/lib/ipa-client/sysrestore/*",
    "/var/lib/ipa-client/pki/*",
    "/etc/pki/ca-trust/source/anchors/ipa-ca.crt",
    "/etc/pki/ca-trust/source/ipa.p11-kit",
    "/usr/local/share/ca-certificates/ipa-ca.crt",
    "/var/lib/certmonger/requests/*",
    "/var/lib/certmonger/local/*",
    "/var/log/ipaclient-install.log",
    "/var/log/ipaclient-uninstall.log",
    "/var/lib/sss/db/*",
    "/var/lib/sss/mc/*",
    "/var/lib/sss/secrets/*",
    "/var/lib/sss/secrets/.secrets.mkey",
    "/var/lib/sss/keytabs/*",
    "/var/lib/sss/pubconf/*info.*",
    "/var/lib/sss/pubconf/known_hosts",
    "/var/lib/sss/pubconf/krb5.include.d/*",
    "/var/log/sssd/*",
    "/var/lib/samba/*.tdb",
    "/var/lib/samba/*/*.tdb",
    "/var/lib/samba/*.ldb",
    "/var/lib/samba/wins.dat",
    "/var/lib/samba/private/*",
    "/var/lib/samba/private/*/*",
    "/var/lib/samba/bind-dns/*.keytab",
    "/etc/samba/secrets.tdb",
    "/etc/samba/MACHINE.SID",
    "/var/cache/samba/browse.dat",
    "/var/cache/realmd/*",
    "/var/cache/samba/*.tdb",
    "/var/lock/samba/*.tdb",
    "/var/log/samba/*",
    "/var/log/samba/old/*",
)
_POLICIES = "/var/lib/sss/gpo_cache/*"
"""One folder per domain."""


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove_files(*_MEMBERSHIP)
    guest.remove(guest.sweep(_POLICIES))
