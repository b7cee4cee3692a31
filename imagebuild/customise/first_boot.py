"""A script that runs once, when a clone boots for the first time, under any init system of the
guest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from imagebuild.customise.linux import init_scripts, units
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
"""The name of such a script; it is the suffix of the names of its files."""

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
    """Set up the script ``text`` to run at the first boot, and again at every following boot until
    it has succeeded.

    Raises GuestError if the guest has a different script with this name, or no init system that
    could run it.
    """
    script = f"/usr/local/sbin/first-boot-{name}"
    if guest.exists(script) and guest.read(script) != text:
        raise GuestError(
            f"the guest already has a different first-boot script called {name}",
            f"give one of them a different name, or remove the old one with remove-files: {script}",
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
    """The file that starts the script, and the links that it needs; a service that it needs is
    enabled."""
    if units.has_systemd(guest):
        unit = f"{units.OWN}/first-boot-{name}.service"
        return unit, {f"{units.OWN}/multi-user.target.wants/first-boot-{name}.service": unit}
    if guest.is_dir(init_scripts.OPENRC) and guest.real_file("/etc/init.d/local"):
        init_scripts.enable(guest, "local")
        return f"/etc/local.d/first-boot-{name}.start", {}
    # Elsewhere /etc/rc.d is a link, and the start order of the scripts does not come from the links.
    if guest.is_dir("/etc/rc.d") and guest.is_dir("/etc/rc.d/rc3.d"):
        links = {f"/etc/rc.d/rc{level}.d/S99first-boot-{name}": f"../init.d/first-boot-{name}" for level in "2345"}
        return f"/etc/rc.d/init.d/first-boot-{name}", links
    raise GuestError(
        "this guest cannot run a script at its first boot: it uses neither systemd nor OpenRC "
        "nor the init system of RHEL 6"
    )
