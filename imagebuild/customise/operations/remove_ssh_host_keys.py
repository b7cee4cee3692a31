"""Remove the SSH host keys and make sure that the first boot creates new ones.

The certificates of the keys are removed as well. sshd does not start without host keys. Fedora and
RHEL ship units that create missing keys (``sshd-keygen@.service``). Debian and Ubuntu create them
when the package is installed. Debian 13's ``sshd-keygen.service`` creates them only on what systemd
considers a first boot, and the first boot of a clone with an empty machine id is not one. On SUSE,
Alpine and RHEL 6, starting sshd creates them.

Therefore, unless the guest creates missing keys on every boot anyway, this operation adds
``regenerate-ssh-host-keys.service``, which runs ``ssh-keygen -A`` before sshd whenever a key is
missing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagebuild.customise.linux import units
from imagebuild.customise.operation import NoParams, NotApplicable, Phase
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "secret"
REPLACES = ("ssh-hostkeys",)
Params = NoParams

_KEYS = (
    "/etc/ssh/ssh_host_*_key",
    "/etc/ssh/ssh_host_*_key*.pub",
    "/etc/ssh/ssh_host_key",
    "/etc/ssh/ssh_host_key.pub",
)
"""Keys, their certificates (``ssh_host_rsa_key-cert.pub``, without which sshd starts), and the key
of protocol 1."""
_SERVERS = ("/usr/sbin/sshd", "/usr/bin/sshd", "/sbin/sshd")
_THEIRS = ("sshd-keygen@.service", "sshd-keygen.service", "sshdgenkeys.service")
_MAKES_KEYS = re.compile(r"^[^#\n]*(ssh-keygen|sshd-keygen|sshd-gen-keys-start)", re.MULTILINE)
_HOST_KEY = re.compile(r"^[ \t]*HostKey[ \t=]+\"?([^\s\"]+)", re.MULTILINE | re.IGNORECASE)
_UNIT = "regenerate-ssh-host-keys.service"
# Unlike most services it is not ordered after basic.target, because ssh.socket is part of that target.
_UNIT_TEXT = """\
[Unit]
Description=Create missing SSH host keys
Documentation=man:ssh-keygen(1)
DefaultDependencies=no
Requires=sysinit.target
After=sysinit.target
Before=ssh.service ssh.socket sshd.service sshd.socket
Conflicts=shutdown.target
Before=shutdown.target
ConditionPathIsReadWrite=/etc/ssh
ConditionPathExists=|!/etc/ssh/ssh_host_rsa_key
ConditionPathExists=|!/etc/ssh/ssh_host_ecdsa_key
ConditionPathExists=|!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target
"""


def apply(guest: Guest, params: NoParams) -> None:
    keys = guest.glob(*_KEYS)
    served = any(guest.exists(path) for path in _SERVERS)
    if not keys and not served:
        raise NotApplicable("this guest has no SSH server")
    if served and not any(_on_any_boot(guest, unit) for unit in _THEIRS) and not _by_the_start_of_sshd(guest):
        if not units.has_systemd(guest):
            raise GuestError(
                "nothing in this guest would create new SSH host keys, because it does not use systemd",
                "leave out remove-ssh-host-keys, or let the guest's own start scripts run `ssh-keygen -A`",
            )
        with guest.tidying():
            guest.create(f"{units.OWN}/{_UNIT}", _UNIT_TEXT)
            units.enable(guest, _UNIT, wanted_by="multi-user.target")
    guest.remove(keys)
    for path in guest.real_files("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*.conf"):
        for key in _HOST_KEY.findall(guest.read(path)):
            if not key.startswith("/etc/ssh/ssh_host_") and guest.real_file(key):
                guest.not_done(key, f"is a host key configured in {path}, and nothing would create it again")


def _by_the_start_of_sshd(guest: Guest) -> bool:
    """Whether sshd's own init script or unit creates keys before it starts sshd, as on RHEL 6,
    Alpine and SUSE."""
    scripts = (path for path in ("/etc/init.d/sshd", "/etc/rc.d/init.d/sshd") if guest.real_file(path))
    unit = units.find(guest, "sshd.service")
    starts = [*scripts, *([unit] if unit else [])]
    return any(_MAKES_KEYS.search(guest.read(path)) for path in starts)


def _on_any_boot(guest: Guest, unit: str) -> bool:
    path = units.find(guest, unit)
    return path is not None and "ConditionFirstBoot" not in guest.read(path)
