"""Remove what mail, Puppet and PAM have collected about this machine.

Dovecot's generated parameters; Puppet's certificates and keys, reports and state, of agent and server; counters of failed logins,
console locks and sessions that PAM keeps. Configurations stay, and each service makes its data anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "secret"
REPLACES = ("dovecot-data", "pam-data", "puppet-data-log")
Params = NoParams

_DATA = (
    "/var/lib/dovecot/*",
    "/var/lib/puppet/ssl/*",
    "/var/lib/puppet/*/*.yaml",
    "/var/lib/puppet/reports/*",
    "/var/lib/puppet/state/*",
    "/etc/puppet/ssl/*",
    "/etc/puppetlabs/puppet/ssl/*",
    "/opt/puppetlabs/puppet/cache/state/*",
    "/opt/puppetlabs/puppet/cache/reports/*",
    "/var/log/puppet/*",
    "/var/log/puppetlabs/*/*",
    "/var/run/console/*",
    "/var/run/faillock/*",
    "/var/run/sepermit/*",
    "/var/lib/faillock/*",
)
_RECORDS = ("/var/log/tallylog", "/var/log/faillog")


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(guest.sweep(*_DATA))
    guest.empty(_RECORDS)
