"""Start the QEMU guest agent when the guest boots.

The agent reports the guest's addresses to the host and freezes file systems for snapshots. Its
package must be installed. Where a udev rule of the package starts the agent as soon as the machine
has the agent's port, as on Debian, nothing is changed; elsewhere the agent's unit or init script is
enabled. On a machine without the port, `org.qemu.guest_agent.0`, the agent does not run. The
commands that the host may use remain as configured by the package: the RHEL family forbids reading
files and running programs, in ``/etc/sysconfig/qemu-ga``.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from imagebuild.customise.linux import init_scripts, units
from imagebuild.customise.operation import NoParams, Phase
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE
Params = NoParams

_UNITS = ("qemu-guest-agent.service", "qemu-ga@.service")
"""The second one is SUSE's: its udev rule starts an instance."""
_SCRIPTS = ("qemu-guest-agent", "qemu-ga")
_RULES = ("/etc/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
"""The folders where udev searches for rules; if two files have the same name, the first one is
used."""


def apply(guest: Guest, params: NoParams) -> None:
    unit = next((unit for unit in _UNITS if units.find(guest, unit)), None)
    script = next((name for name in _SCRIPTS if guest.real_file(f"/etc/init.d/{name}")), None)
    if unit is not None:
        if units.is_masked(guest, unit) or not _started_by_udev(guest, unit):
            units.enable_as_installed(guest, unit)
    elif script is not None:
        init_scripts.enable(guest, script)
    else:
        raise GuestError(
            "the guest has no guest agent",
            "install its package first: install-packages: {packages: [qemu-guest-agent]}",
        )


def _started_by_udev(guest: Guest, unit: str) -> bool:
    rules: dict[str, str] = {}
    for folder in _RULES:
        for path in guest.glob(f"{folder}/*qemu*.rules"):
            rules.setdefault(posixpath.basename(path), path)
    texts = [guest.read(path) for path in rules.values() if guest.real_file(path)]
    wanted = ("org.qemu.guest_agent.0", "SYSTEMD_WANTS", unit.partition(".")[0])
    return any(all(word in text for word in wanted) for text in texts)
