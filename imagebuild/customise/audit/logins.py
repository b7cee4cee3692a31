"""Who may log in, and with what. This is not an error in itself, but the owner of the image should
know it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.audit.text import text_of
from imagebuild.printable import counted
from imagebuild.schema.customised import Change

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest


def look(guest: Guest) -> list[Change]:
    """Keys that may log in, and accounts with a password or with an empty one. Changes nothing."""
    found = []
    for home in guest.homes():
        for name in ("authorized_keys", "authorized_keys2"):
            path = f"{home.path}/.ssh/{name}"
            keys = [line for line in text_of(guest, path).splitlines() if line.strip() and not line.startswith("#")]
            if keys:
                found.append(Change(path, f"{counted(len(keys), 'key')} may log in as {home.user}"))
    for line in text_of(guest, "/etc/shadow").splitlines():
        fields = line.split(":")
        if len(fields) > 1 and (fields[1] == "" or fields[1].startswith("$")):
            found.append(Change("/etc/shadow", f"{fields[0]} has {'a' if fields[1] else 'an empty'} password"))
    return found
