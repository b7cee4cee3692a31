"""Remove the data that services have collected about this machine and its users.

Removes Dovecot's generated parameters; the certificates, keys, catalogues, facts, reports and state
of Puppet agents and servers; PAM's counters of failed logins, console locks and sessions; sudo's
record of users who have seen its lecture; enrolled fingerprints; the user data of login screens;
OpenPegasus's keys; the list of NFS clients, and what rpcbind, gssproxy, ypbind and nscd know about
other hosts; Postfix's caches and seed and lists of greylisted senders; CUPS's sessions and
subscriptions; the data that Hyper-V has passed to the guest; the keys of libvirt's running
machines; and the caches of manual pages and fonts. Configuration stays, and each service creates
its data again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "secret"
REPLACES = ("dovecot-data", "logfiles", "pam-data", "puppet-data-log")
Params = NoParams

_PUPPET = (
    "/var/lib/puppet",
    "/var/cache/puppet",
    "/opt/puppetlabs/puppet/cache",
    "/opt/puppetlabs/server/data/puppetserver",
)
_COLLECTED = (
    "bucket", "client_data", "client_yaml", "clientbucket", "log", "preview", "reports", "rrd", "run", "server_data",
    "state", "yaml",
)  # fmt: skip
"""These folders correspond to Puppet's setting ``vardir``; ``facts.d`` and ``lib`` are code and
configuration."""
_DATA = (
    "/var/lib/dovecot/*",
    "/var/lib/puppet/ssl/*",
    *(f"{folder}/{name}/*" for folder in _PUPPET for name in _COLLECTED),
    "/etc/puppet/ssl/*",
    "/etc/puppetlabs/puppet/ssl/*",
    "/var/log/puppet/*",
    "/var/log/puppetlabs/*/*",
    "/var/run/console/*",
    "/var/run/faillock/*",
    "/var/run/sepermit/*",
    "/var/lib/faillock/*",
    "/var/lib/fprint/*",
    "/var/cache/gdm/*",
    "/var/lib/AccountsService/users/*",
    "/var/lib/AccountService/users/*",
    "/var/lib/AccountsService/icons/*",
    "/var/lib/lightdm-data/*/*",
    "/var/lib/lightdm/.Xauthority",
    "/var/lib/lightdm/.cache/*",
    "/var/lib/gdm*/.cache/*",
    "/var/lib/sddm/.cache/*",
    "/var/lib/sddm/state.conf",
    "/var/lib/xdm/authdir/authfiles/*",
    "/var/lib/sudo/lectured/*",
    "/var/lib/sudo/ts/*",
    "/var/db/sudo/lectured/*",
    "/var/lib/libuuid/clock.txt",
    "/var/lib/rpcbind/*.xdr",
    "/var/lib/nfs/rmtab",
    "/var/lib/nfs/etab",
    "/var/lib/nfs/state",
    "/var/lib/nfs/sm/*",
    "/var/lib/nfs/sm.bak/*",
    "/var/lib/nfs/statd/state",
    "/var/lib/nfs/statd/sm/*",
    "/var/lib/nfs/statd/sm.bak/*",
    "/var/lib/nfs/v4recovery/*",
    "/var/lib/postfix/prng_exch",
    "/var/lib/postfix/*_scache.*",
    "/var/lib/postfix/*_cache.*",
    "/var/lib/postgrey/*.db",
    "/var/spool/postfix/postgrey/*.db",
    "/var/lib/milter-greylist/greylist.db",
    "/var/lib/gssproxy/clients/*",
    "/var/lib/gssproxy/rcache/*",
    "/var/lib/yp/binding/*",
    "/var/db/nscd/*",
    "/var/lib/cups/certs/*",
    "/etc/cups/subscriptions.conf*",
    "/var/lib/hyperv/.kvp_pool_*",
    "/var/lib/libvirt/qemu/master-key.aes",
    "/var/lib/libvirt/qemu/domain-*/master-key.aes",
    "/etc/Pegasus/*.crt",
    "/etc/Pegasus/*.csr",
    "/etc/Pegasus/*.pem",
    "/etc/Pegasus/*.srl",
    "/etc/Pegasus/*.cnf",
    "/var/cache/man/*",
    "/var/cache/fontconfig/*",
)
_RECORDS = ("/var/log/tallylog", "/var/log/faillog")


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(guest.sweep(*_DATA))
    guest.empty(_RECORDS)
