"""systemd units of a guest, enabled and disabled as ``systemctl`` does it."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

OWN = "/etc/systemd/system"
"""The folder where units are enabled, and where an administrator's own units are."""
FOLDERS = (OWN, "/usr/lib/systemd/system", "/lib/systemd/system")


def has_systemd(guest: Guest) -> bool:
    """Whether the guest uses systemd."""
    return any(guest.exists(f"{folder}/systemd") for folder in ("/usr/lib/systemd", "/lib/systemd"))


def installed(guest: Guest, unit: str) -> bool:
    """Whether the guest has a unit with this name."""
    return any(guest.exists(f"{folder}/{name}") for folder in FOLDERS for name in _files_of(unit))


def find(guest: Guest, unit: str) -> str | None:
    """The file that defines a unit, found as systemd does it; None if there is none."""
    found = (guest.real_file(f"{folder}/{name}") for name in _files_of(unit) for folder in FOLDERS)
    return next((path for path in found if path), None)


def _files_of(unit: str) -> tuple[str, ...]:
    """The names of the files that may define a unit: ``getty@tty1.service`` is an instance of
    ``getty@.service``."""
    template = re.sub(r"@[^@]+(\.\w+)$", r"@\1", unit)
    return (unit,) if template == unit else (unit, template)


def is_masked(guest: Guest, unit: str) -> bool:
    """Whether a unit was masked with ``systemctl mask``, so that it cannot start at all."""
    return guest.is_symlink(f"{OWN}/{unit}") and guest.readlink(f"{OWN}/{unit}") == "/dev/null"


def enable(guest: Guest, unit: str, wanted_by: str) -> None:
    """Start ``unit`` together with the target ``wanted_by``."""
    guest.symlink(f"{OWN}/{unit}", f"{OWN}/{wanted_by}.wants/{unit}")


def disable(guest: Guest, unit: str) -> None:
    """Do not start ``unit`` automatically any more: the links that want it and its aliases are
    removed.

    The same is done for the units listed in its ``Also=``, and for the instances of a template.
    Nothing is masked: the administrator can enable it again.
    """
    for one in dict.fromkeys((unit, *_with_others(guest, unit))):
        instances = re.sub(r"@(\.\w+)$", r"@*\1", one)
        links = guest.glob(f"{OWN}/*.wants/{instances}", f"{OWN}/*.requires/{instances}")
        aliases = [
            path
            for path in guest.glob(f"{OWN}/*{posixpath.splitext(one)[1]}")
            if posixpath.basename(path) != one
            and guest.is_symlink(path)
            and posixpath.basename(guest.readlink(path)) == one
        ]
        guest.remove([*links, *aliases], f"disabled {one}")


def unit_name(service: str) -> str:
    """The name of the unit for ``sshd``; a name that ends like a unit stays."""
    known = (".service", ".socket", ".timer", ".target", ".path", ".mount", ".slice")
    return service if service.endswith(known) else f"{service}.service"


def enable_as_installed(guest: Guest, unit: str) -> None:
    """Enable ``unit`` according to its own [Install] section, with the units listed there;
    GuestError if that section is missing."""
    if is_masked(guest, unit):
        raise GuestError(
            f"{unit} in the guest is masked, so it cannot be started", f"remove {OWN}/{unit} with remove-files first"
        )
    enabled = False
    for one, path in _with_others(guest, unit).items():
        names = _install_section(guest, path)
        if re.search(r"@\.\w+$", one):
            one = one.replace("@.", f"@{_default_instance(one, names)}.")
        for kind, name in names:
            places = {"WantedBy": f"{name}.wants/{one}", "RequiredBy": f"{name}.requires/{one}", "Alias": name}
            if kind in places:
                guest.symlink(path, f"{OWN}/{places[kind]}")
                enabled = True
    if not enabled:
        raise GuestError(f"{unit} in the guest has no [Install] section, so it cannot be enabled")


def _with_others(guest: Guest, unit: str) -> dict[str, str]:
    """``unit`` and the units listed in ``Also=``, recursively, with their files; those that do not
    exist are left out."""
    found: dict[str, str] = {}
    waiting = [unit]
    while waiting:
        one = waiting.pop(0)
        path = None if one in found or is_masked(guest, one) else find(guest, one)
        if path is not None:
            found[one] = path
            waiting += [name for kind, name in _install_section(guest, path) if kind == "Also"]
    return found


def _install_section(guest: Guest, path: str) -> list[tuple[str, str]]:
    """The [Install] settings in a unit's file, each with one name."""
    kinds = "WantedBy|RequiredBy|Alias|Also|DefaultInstance"
    settings = re.findall(rf"^[ \t]*({kinds})[ \t]*=[ \t]*(.*)$", guest.read(path), re.MULTILINE)
    return [(kind, name) for kind, values in settings for name in values.split()]


def _default_instance(template: str, names: list[tuple[str, str]]) -> str:
    for kind, name in names:
        if kind == "DefaultInstance":
            return name
    raise GuestError(
        f"{template} in the guest is a template unit without a default instance",
        f"give an instance, such as {template.replace('@.', '@NAME.')}",
    )
