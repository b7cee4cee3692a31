"""systemd units of a guest, switched on and off as ``systemctl`` does it."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

OWN = "/etc/systemd/system"
"""Where units are enabled, and where an administrator's own units are."""
FOLDERS = (OWN, "/usr/lib/systemd/system", "/lib/systemd/system")


def has_systemd(guest: Guest) -> bool:
    """Whether systemd starts this guest."""
    return any(guest.exists(f"{folder}/systemd") for folder in ("/usr/lib/systemd", "/lib/systemd"))


def installed(guest: Guest, unit: str) -> bool:
    """Whether the guest knows a unit of this name."""
    return any(guest.exists(f"{folder}/{name}") for folder in FOLDERS for name in _files_of(unit))


def find(guest: Guest, unit: str) -> str | None:
    """The file that defines a unit, as systemd looks for it; None if there is none."""
    found = (guest.real_file(f"{folder}/{name}") for name in _files_of(unit) for folder in FOLDERS)
    return next((path for path in found if path), None)


def _files_of(unit: str) -> tuple[str, ...]:
    """The names of the files that may define a unit: ``getty@tty1.service`` is an instance of ``getty@.service``."""
    template = re.sub(r"@[^@]+(\.\w+)$", r"@\1", unit)
    return (unit,) if template == unit else (unit, template)


def is_masked(guest: Guest, unit: str) -> bool:
    """Whether ``systemctl mask`` keeps a unit from starting at all."""
    return guest.is_symlink(f"{OWN}/{unit}") and guest.readlink(f"{OWN}/{unit}") == "/dev/null"


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


def unit_name(service: str) -> str:
    """``sshd`` as the name of its unit; a name with a unit's ending stays."""
    known = (".service", ".socket", ".timer", ".target", ".path", ".mount", ".slice")
    return service if service.endswith(known) else f"{service}.service"


def enable_as_installed(guest: Guest, unit: str) -> None:
    """Enable ``unit`` as its own [Install] section says, with the units it names there; GuestError if that says nothing."""
    if not _enable_all(guest, unit, set()):
        raise GuestError(f"{unit} in the guest has no [Install] section: nothing can start it with the system")


def _enable_all(guest: Guest, unit: str, seen: set[str]) -> bool:
    """Enable ``unit`` and those that its ``Also=`` names; whether there was anything to enable."""
    path = find(guest, unit)
    if path is None or unit in seen:
        return False
    if is_masked(guest, unit):
        raise GuestError(
            f"{unit} in the guest is masked: nothing can start it", f"remove-files can take away {OWN}/{unit} before"
        )
    settings = re.findall(r"^[ \t]*(WantedBy|RequiredBy|Alias|Also)[ \t]*=[ \t]*(.*)$", guest.read(path), re.MULTILINE)
    names = [(kind, name) for kind, values in settings for name in values.split()]
    for kind, name in names:
        places = {"WantedBy": f"{name}.wants/{unit}", "RequiredBy": f"{name}.requires/{unit}", "Alias": name}
        if kind in places:
            guest.symlink(path, f"{OWN}/{places[kind]}")
    # One of these that is not there, or says nothing itself, is no error to systemctl either.
    also = [_enable_all(guest, name, {*seen, unit}) for kind, name in names if kind == "Also"]
    return any(kind != "Also" for kind, _ in names) or any(also)
