"""Remove the names by which this machine logs in to network storage.

These are the iSCSI initiator name and the NVMe host name and id. If clones share them, a storage
server takes all clones for one machine and gives each the disks of the others. New names are
generated at the first boot: by Debian's open-iscsi if its file contains ``GenerateName=yes``, and
by ``iscsi-init.service`` on Fedora and on RHEL 8 and later. For NVMe, and for iSCSI where nothing
else does it, this operation adds a unit that runs ``nvme gen-hostnqn`` or ``iscsi-iname`` if there
is no name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagebuild.customise.linux import units
from imagebuild.customise.operation import NoParams, NotApplicable, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "identity"
Params = NoParams

_ISCSI = "/etc/iscsi/initiatorname.iscsi"
_NVME = ("/etc/nvme/hostnqn", "/etc/nvme/hostid")
_GENERATE = "GenerateName=yes\n"
_NAME = re.compile(r"^[ \t]*InitiatorName[ \t]*=", re.MULTILINE)
"""A file that has no name yet contains ``GenerateName=yes``, as shipped by Debian's package."""
_DEBIAN = ("/usr/lib/open-iscsi/startup-checks.sh", "/lib/open-iscsi/startup-checks.sh")
_INAME = ("/usr/sbin/iscsi-iname", "/sbin/iscsi-iname")
_CLI = ("/usr/sbin/nvme", "/usr/bin/nvme")
_UNIT = """\
[Unit]
Description=Give this machine {what}
DefaultDependencies=no
Requires=local-fs.target
After=local-fs.target
Before={before} shutdown.target
Conflicts=shutdown.target
ConditionPathExists=!{path}

[Service]
Type=oneshot
ExecStart=/bin/sh -c '{command}'

[Install]
WantedBy=multi-user.target
"""
_ISCSI_COMMAND = 'umask 077; n=$$({tool}) && echo "InitiatorName=$$n" >{path}'
_NVME_COMMAND = 'n=$$({tool} gen-hostnqn) && echo "$$n" >/etc/nvme/hostnqn && echo "$${{n##*:}}" >/etc/nvme/hostid'


def apply(guest: Guest, params: NoParams) -> None:
    if not guest.exists("/etc/iscsi") and not guest.exists("/etc/nvme"):
        raise NotApplicable("this guest has neither iSCSI nor NVMe over Fabrics")
    if _NAME.search(guest.read(_ISCSI) if guest.real_file(_ISCSI) else ""):
        _reset_iscsi(guest)
    names = [path for path in _NVME if guest.exists(path)]
    tool = _first(guest, _CLI)
    if names and tool and units.has_systemd(guest):
        command = _NVME_COMMAND.format(tool=tool)
        _bring(guest, "regenerate-nvme-host.service", "a name of its own for NVMe", "nvmf-autoconnect.service", command)
    guest.remove(names)


def _reset_iscsi(guest: Guest) -> None:
    if _first(guest, _DEBIAN):
        guest.create(_ISCSI, _GENERATE, mode=0o600, what="emptied: open-iscsi makes a new name")
        return
    tool = _first(guest, _INAME)
    if tool and units.has_systemd(guest) and not units.installed(guest, "iscsi-init.service"):
        command = _ISCSI_COMMAND.format(tool=tool, path=_ISCSI)
        _bring(guest, "regenerate-iscsi-initiator.service", "a name of its own for iSCSI", "iscsid.service", command)
    guest.remove(_ISCSI)


def _bring(guest: Guest, unit: str, what: str, before: str, command: str) -> None:
    path = _ISCSI if "iscsi" in unit else _NVME[0]
    with guest.tidying():
        guest.create(f"{units.OWN}/{unit}", _UNIT.format(what=what, before=before, path=path, command=command))
        units.enable(guest, unit, wanted_by="multi-user.target")


def _first(guest: Guest, paths: tuple[str, ...]) -> str:
    return next((path for path in paths if guest.exists(path)), "")
