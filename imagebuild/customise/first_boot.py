"""A script that runs once, when a clone boots for the first time, whatever starts the guest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from imagebuild.customise.linux import init_scripts, units
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
"""What such a script is called; the names of its files end in it."""

_UNIT = """\
[Unit]
Description=First boot of this machine: {name}
Wants=network-online.target
After=network-online.target
ConditionPathExists={script}

[Service]
Type=oneshot
ExecStart={script}
ExecStartPost=/bin/rm -f {script} {files}

[Install]
WantedBy=multi-user.target
"""
_LOCAL = """\
#!/bin/sh
# First boot of this machine: {name}
{script} >/var/log/first-boot-{name}.log 2>&1 && rm -f {script} {files}
"""
_RC = """\
#!/bin/sh
# chkconfig: 2345 99 01
# description: First boot of this machine: {name}
test "$1" = start || exit 0
{script} >/var/log/first-boot-{name}.log 2>&1 && rm -f {script} {files}
"""


def install(guest: Guest, name: str, text: str) -> None:
    """Have the script ``text`` run at the first boot, and again at each further one until it has ended well.

    Raises GuestError if the guest has another one of this name, or nothing that could run it.
    """
    script = f"/usr/local/sbin/first-boot-{name}"
    if guest.exists(script) and guest.read(script) != text:
        raise GuestError(
            f"the guest has another script for its first boot that is called {name}",
            f"give one of them another name, or take the old one away with remove-files: {script}",
        )
    starter, links = _starter(guest, name)
    unit = starter.endswith(".service")
    template = _UNIT if unit else _LOCAL if starter.endswith(".start") else _RC
    files = " ".join((starter, *links))
    guest.create(script, text, mode=0o700)
    guest.create(starter, template.format(name=name, script=script, files=files), mode=0o644 if unit else 0o755)
    for path, target in links.items():
        guest.symlink(target, path)


def _starter(guest: Guest, name: str) -> tuple[str, dict[str, str]]:
    """The file that starts the script, and the links of its own that it needs; a service that it needs is enabled."""
    if units.has_systemd(guest):
        unit = f"{units.OWN}/first-boot-{name}.service"
        return unit, {f"{units.OWN}/multi-user.target.wants/first-boot-{name}.service": unit}
    if guest.is_dir(init_scripts.OPENRC) and guest.real_file("/etc/init.d/local"):
        init_scripts.enable(guest, "local")
        return f"/etc/local.d/first-boot-{name}.start", {}
    # Elsewhere /etc/rc.d is a link, and the order in which scripts start does not come from the links.
    if guest.is_dir("/etc/rc.d") and guest.is_dir("/etc/rc.d/rc3.d"):
        links = {f"/etc/rc.d/rc{level}.d/S99first-boot-{name}": f"../init.d/first-boot-{name}" for level in "2345"}
        return f"/etc/rc.d/init.d/first-boot-{name}", links
    raise GuestError(
        "nothing in this guest could run a script at its first boot: it starts neither with systemd nor with OpenRC, "
        "nor as RHEL 6 does"
    )
