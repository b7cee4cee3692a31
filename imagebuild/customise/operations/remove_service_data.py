"""Remove what services have collected about this machine and its people.

Dovecot's generated parameters; Puppet's certificates and keys, catalogues, facts, reports and state, of agent and server; counters of failed
logins, console locks and sessions that PAM keeps; enrolled fingerprints; what login screens remember of people; OpenPegasus's keys; the
caches of manual pages and fonts. Configurations stay, and each service makes its data again.
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
