"""Init scripts of a guest, enabled and disabled like ``rc-update``, ``chkconfig`` and
``update-rc.d`` do it."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from imagebuild.customise.linux import units
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

OPENRC = "/etc/runlevels"
"""The folder of OpenRC's runlevels, in a guest that uses OpenRC."""
_GENERATORS = ("/usr/lib/systemd/system-generators", "/lib/systemd/system-generators")


def disable(guest: Guest, name: str) -> None:
    """Turn the start links of ``/etc/init.d/NAME`` into stop links, which also keeps upgrades from
    adding them again."""
    for link in guest.glob(f"/etc/rc[S2345].d/S??{name}", f"/etc/rc.d/rc[2345].d/S??{name}"):
        # On RHEL each folder has two paths.
        if _is_start(link, name) and guest.exists(link):
            target = guest.readlink(link) if guest.is_symlink(link) else f"../init.d/{name}"
            guest.remove(link, f"disabled init script {name}")
            guest.symlink(target, f"{posixpath.dirname(link)}/K01{name}")


def enable(guest: Guest, name: str) -> None:
    """Start ``/etc/init.d/NAME`` when the guest boots; GuestError if the mechanism that decides
    this is unknown."""
    if guest.is_dir(OPENRC):
        if not guest.exists(f"{OPENRC}/boot/{name}") and not guest.exists(f"{OPENRC}/sysinit/{name}"):
            guest.symlink(f"/etc/init.d/{name}", f"{OPENRC}/default/{name}")
        return
    text = guest.read(f"/etc/init.d/{name}")
    chkconfig = re.search(r"^#\s*chkconfig:\s*(?:-|[0-6]+)\s+(\d{1,2})\s+\d{1,2}\s*$", text, re.MULTILINE)
    if chkconfig is not None and guest.is_dir("/etc/rc.d/rc3.d"):
        _start_at(guest, name, int(chkconfig[1]))
    elif any(guest.exists(f"{folder}/systemd-sysv-generator") for folder in _GENERATORS):
        _start_by_header(guest, name, text)
    elif units.has_systemd(guest):
        raise GuestError(
            f"{name} has an init script but no unit, and systemd in this guest does not start init scripts",
            "create a unit for it in /etc/systemd/system with write-file",
        )
    else:
        raise GuestError(
            f"cannot enable the init script {name}: this guest uses an unknown init system",
            f"use the guest's own command with run-command: update-rc.d {name} enable",
        )


def _start_at(guest: Guest, name: str, number: int) -> None:
    """Create links like ``chkconfig on``."""
    link = f"S{number:02}{name}"
    for level in "2345":
        folder = f"/etc/rc.d/rc{level}.d"
        others = [path for path in _links(guest, folder, name) if posixpath.basename(path) != link]
        guest.remove(others, f"enabled init script {name}")
        guest.symlink(f"../init.d/{name}", f"{folder}/{link}")


def _start_by_header(guest: Guest, name: str, text: str) -> None:
    """Create links like ``update-rc.d defaults`` and ``enable``.

    systemd-sysv-generator creates a unit for a script that has a start link in any of the runlevels
    2 to 5. The order comes from the script's header, so the number in the name of a link has no
    meaning.
    """
    start, stop = _levels(text, "Start"), _levels(text, "Stop")
    if not set(start) & set("2345"):
        raise GuestError(
            f"the init script {name} does not say that it starts in any of the runlevels 2 to 5",
            "add this line to its LSB header: # Default-Start: 2 3 4 5",
        )
    root = "/etc/rc.d" if guest.is_dir("/etc/rc.d/rc3.d") else "/etc"
    for level in start:
        folder = f"{root}/rc{level}.d"
        there = _links(guest, folder, name)
        if not any(_is_start(path, name) for path in there):
            numbers = [posixpath.basename(path)[1:3] for path in there]
            guest.remove(there, f"enabled init script {name}")
            guest.symlink(f"../init.d/{name}", f"{folder}/S{(*numbers, '01')[0]}{name}")
    for level in stop:
        folder = f"{root}/rc{level}.d"
        if not _links(guest, folder, name):
            guest.symlink(f"../init.d/{name}", f"{folder}/K01{name}")


def _levels(text: str, which: str) -> list[str]:
    """The runlevels in the LSB header of a script."""
    header = re.search(r"^### BEGIN INIT INFO\s*$(.*?)^### END INIT INFO\s*$", text, re.MULTILINE | re.DOTALL)
    found = re.search(rf"^# Default-{which}:[ \t]*(.*)$", header[1] if header else "", re.MULTILINE)
    return [level for level in found[1].split() if level in set("S0123456")] if found else []


def _links(guest: Guest, folder: str, name: str) -> list[str]:
    """The start and stop links of a script in the folder of a runlevel, excluding those of scripts
    whose names end in the same way."""
    return [path for path in guest.glob(f"{folder}/[SK]??{name}") if re.match(r"[SK]\d\d", posixpath.basename(path))]


def _is_start(path: str, name: str) -> bool:
    return re.fullmatch(rf"S\d\d{re.escape(name)}", posixpath.basename(path)) is not None
