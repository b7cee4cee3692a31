"""systemd units and init scripts of a guest, switched on and off as ``systemctl`` and ``update-rc.d`` do it."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

OWN = "/etc/systemd/system"
"""Where units are enabled, and where an administrator's own units are."""
_OPENRC = "/etc/runlevels"
FOLDERS = (OWN, "/usr/lib/systemd/system", "/lib/systemd/system")


def has_systemd(guest: Guest) -> bool:
    """Whether systemd starts this guest."""
    return any(guest.exists(f"{folder}/systemd") for folder in ("/usr/lib/systemd", "/lib/systemd"))


def installed(guest: Guest, unit: str) -> bool:
    """Whether the guest knows a unit of this name."""
    return any(guest.exists(f"{folder}/{unit}") for folder in FOLDERS)


def find(guest: Guest, unit: str) -> str | None:
    """The file that defines a unit, as systemd looks for it; None if there is none."""
    return next((path for folder in FOLDERS if (path := guest.real_file(f"{folder}/{unit}"))), None)


def enable(guest: Guest, unit: str, wanted_by: str) -> None:
    """Start ``unit`` together with the target ``wanted_by``."""
    guest.symlink(f"{OWN}/{unit}", f"{OWN}/{wanted_by}.wants/{unit}")


def disable(guest: Guest, unit: str) -> None:
    """Nothing starts ``unit`` by itself any more: links that want it and its aliases go away.

    The unit is not masked: whoever runs the machine can enable it again.
    """
    links = guest.glob(f"{OWN}/*.wants/{unit}", f"{OWN}/*.requires/{unit}")
    aliases = [
        path
        for path in guest.glob(f"{OWN}/*.service")
        if posixpath.basename(path) != unit
        and guest.is_symlink(path)
        and posixpath.basename(guest.readlink(path)) == unit
    ]
    guest.remove([*links, *aliases], f"disabled {unit}")


def disable_init_script(guest: Guest, name: str) -> None:
    """Turn the start links of ``/etc/init.d/NAME`` into stop links, which also keeps upgrades from adding them again."""
    for link in guest.glob(f"/etc/rc[S2345].d/S??{name}", f"/etc/rc.d/rc[2345].d/S??{name}"):
        if re.fullmatch(rf"S\d\d{re.escape(name)}", posixpath.basename(link)):
            target = guest.readlink(link) if guest.is_symlink(link) else f"../init.d/{name}"
            guest.remove(link, f"disabled init script {name}")
            guest.symlink(target, f"{posixpath.dirname(link)}/K01{name}")


def enable_init_script(guest: Guest, name: str) -> None:
    """Start ``/etc/init.d/NAME`` with the guest, as ``rc-update add`` and ``chkconfig on`` do; GuestError elsewhere."""
    if guest.is_dir(_OPENRC):
        if not guest.exists(f"{_OPENRC}/boot/{name}") and not guest.exists(f"{_OPENRC}/sysinit/{name}"):
            guest.symlink(f"/etc/init.d/{name}", f"{_OPENRC}/default/{name}")
        return
    header = re.search(
        r"^#\s*chkconfig:\s*(?:-|[0-6]+)\s+(\d{1,2})\s+\d{1,2}\s*$", guest.read(f"/etc/init.d/{name}"), re.MULTILINE
    )
    if header is None or not guest.is_dir("/etc/rc.d/rc3.d"):
        raise GuestError(
            f"what decides in this guest when the init script {name} starts is not known here",
            f"run-command can ask the guest itself: update-rc.d {name} enable",
        )
    link = f"S{int(header[1]):02}{name}"
    for level in "2345":
        folder = f"/etc/rc.d/rc{level}.d"
        others = [path for path in guest.glob(f"{folder}/[SK]??{name}") if posixpath.basename(path) != link]
        guest.remove(others, f"enabled init script {name}")
        guest.symlink(f"../init.d/{name}", f"{folder}/{link}")


def unit_name(service: str) -> str:
    """``sshd`` as the name of its unit; a name with a unit's ending stays."""
    known = (".service", ".socket", ".timer", ".target", ".path", ".mount", ".slice")
    return service if service.endswith(known) else f"{service}.service"


def enable_as_installed(guest: Guest, unit: str) -> None:
    """Enable ``unit`` as its own [Install] section says; GuestError if that says nothing."""
    path = find(guest, unit)
    settings = re.findall(
        r"^[ \t]*(WantedBy|RequiredBy|Alias)[ \t]*=[ \t]*(.*)$", guest.read(path) if path else "", re.MULTILINE
    )
    targets = [(kind, name) for kind, names in settings for name in names.split()]
    if not targets:
        raise GuestError(f"{unit} in the guest has no [Install] section: nothing can start it with the system")
    for kind, name in targets:
        places = {"WantedBy": f"{name}.wants/{unit}", "RequiredBy": f"{name}.requires/{unit}", "Alias": name}
        guest.symlink(str(path), f"{OWN}/{places[kind]}")
