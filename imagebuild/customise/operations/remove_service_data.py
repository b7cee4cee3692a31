"""Remove what services have collected about this machine and its people.

Dovecot's generated parameters; Puppet's certificates and keys, catalogues, facts, reports and state, of agent and server; counters of failed
logins, console locks and sessions that PAM keeps, and whom sudo has lectured; enrolled fingerprints; what login screens remember of people; OpenPegasus's keys; who
has mounted file systems by NFS, and what rpcbind, gssproxy, ypbind and nscd know of others; Postfix's caches and seed, lists of greylisted senders; CUPS's sessions and subscriptions; what
Hyper-V has told the guest; keys of libvirt's running machines; the caches of manual pages and fonts. Configurations stay, and each service makes its
data again.
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
    "bucket", "client_data", "client_yaml", "clientbucket", "log", "preview", "reports", "rrd", "run", "server_data", "state", "yaml",
)  # fmt: skip
"""What Puppet's settings call ``vardir`` has in these folders; ``facts.d`` and ``lib`` are code and configuration."""
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
