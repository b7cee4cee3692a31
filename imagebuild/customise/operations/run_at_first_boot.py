"""Run a script once, when a clone boots for the first time.

A systemd unit runs it as root when the network is up, and removes itself and the script when it has ended well; otherwise it runs again at the next boot. What
it prints is in the journal. The script needs a first line that says what runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise import units
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    name: str = Field(
        default="setup", pattern=r"^[a-z0-9][a-z0-9-]{0,40}$", description="part of the unit's and the script's name"
    )
    script: str = Field(pattern=r"^#!/", description="the script; it begins with a line such as #!/bin/sh")


_UNIT = """\
[Unit]
Description=First boot of this machine: {name}
Wants=network-online.target
After=network-online.target
ConditionPathExists={script}

[Service]
Type=oneshot
ExecStart={script}
ExecStartPost=/bin/rm -f {script} {unit} {link}

[Install]
WantedBy=multi-user.target
"""


def apply(guest: Guest, params: Params) -> None:
    if not units.has_systemd(guest):
        raise GuestError("nothing in this guest could run a script at its first boot: it does not start with systemd")
    script, name = f"/usr/local/sbin/first-boot-{params.name}", f"first-boot-{params.name}.service"
    unit, link = f"{units.OWN}/{name}", f"{units.OWN}/multi-user.target.wants/{name}"
    guest.create(script, params.script, mode=0o700)
    guest.create(unit, _UNIT.format(name=params.name, script=script, unit=unit, link=link))
    units.enable(guest, name, wanted_by="multi-user.target")
