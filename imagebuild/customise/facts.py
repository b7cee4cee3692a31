"""What operations ask about a guest as a whole: its accounts, and their home folders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imagebuild.customise.view import View

ACCOUNTS = "/etc/passwd"
_FOLDERS = ("/home/", "/root", "/var/", "/srv/", "/opt/")


@dataclass(frozen=True)
class Account:
    """A line of /etc/passwd: the account's name, ids and home folder, which may not exist."""

    user: str
    uid: int
    gid: int
    path: str


def accounts(guest: View) -> list[Account]:
    """All accounts of the guest; broken lines of its /etc/passwd are left out."""
    lines = guest.read(ACCOUNTS).splitlines() if guest.real_file(ACCOUNTS) else []
    return [
        Account(fields[0], int(fields[2]), int(fields[3]), fields[5].rstrip("/"))
        for fields in (line.split(":") for line in lines)
        if len(fields) >= 7 and fields[2].isdigit() and fields[3].isdigit()
    ]


def homes(guest: View) -> list[Account]:
    """Root and all accounts whose home folder exists; each folder once, folders of the system left out.

    A folder in /home that no account has is its owner's.
    """
    found = {"/root": Account("root", 0, 0, "/root")} if guest.is_dir("/root") else {}
    for account in accounts(guest):
        if account.path.startswith(_FOLDERS) and guest.is_dir(account.path):
            found.setdefault(account.path, account)
    for entry in guest.listdir("/home"):
        if entry.kind == "dir":
            path = f"/home/{entry.name}"
            found.setdefault(path, Account(entry.name, entry.uid, entry.gid, path))
    return list(found.values())
