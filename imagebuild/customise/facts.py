"""Facts about a guest as a whole that operations need: its accounts and their home folders."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imagebuild.customise import system_folders
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imagebuild.customise.view import View
    from imagebuild.guest import GuestFile

ACCOUNTS = "/etc/passwd"
_PARENTS = ("home", "homes", "users", "people")
"""Names of folders that contain nothing but home folders, such as /export/home."""
_SIGNS = frozenset({
    ".bash_history", ".bash_logout", ".bash_profile", ".bashrc", ".cache", ".config", ".cshrc", ".kshrc", ".local",
    ".login", ".profile",
    ".ssh", ".zsh_history", ".zshrc",
})  # fmt: skip
"""Files that shells, sshd and desktops put into a home folder."""
_DEEPEST = 3
"""The number of folders between /home and the home of a domain user, such as
/home/example.com/a/alice."""


@dataclass(frozen=True)
class Account:
    """A line of /etc/passwd: the account's name, ids and home folder, which may not exist."""

    user: str
    uid: int
    gid: int
    path: str


def accounts(guest: View) -> list[Account]:
    """All accounts of the guest; malformed lines of its /etc/passwd are skipped."""
    try:
        lines = guest.read(ACCOUNTS).splitlines() if guest.real_file(ACCOUNTS) else []
    except GuestError:
        lines = []
    return [
        Account(fields[0], int(fields[2]), int(fields[3]), fields[5].rstrip("/"))
        for fields in (line.split(":") for line in lines)
        if len(fields) >= 7 and _is_id(fields[2]) and _is_id(fields[3])
    ]


def homes(guest: View) -> list[Account]:
    """Root and all accounts whose home folder exists, wherever it is; each folder once, by its path
    with links resolved.

    System folders are not home folders, whatever service accounts have in /etc/passwd. /home and
    other parents of home folders may contain homes of accounts that are known only to a directory
    service. Each folder there that belongs to no account in /etc/passwd is assigned to its owner,
    and so are deeper folders that look like home folders, as in /home/example.com/alice.
    """
    found: dict[str, Account] = {}
    known = accounts(guest)
    for account in (Account("root", 0, 0, "/root"), *known):
        if account.path.startswith("/") and guest.leads_to_folder(account.path):
            real = guest.realpath(account.path)
            if not system_folders.is_of_system(real) or real == "/root":
                found.setdefault(real, replace(account, path=real))
    parents = {posixpath.dirname(path) for path in [*found, *(account.path for account in known)]}
    for parent in ["/home", *sorted(one for one in parents if posixpath.basename(one).lower() in _PARENTS)]:
        if guest.leads_to_folder(parent):
            real = guest.realpath(parent)
            if real in ("/home", "/var/home") or not system_folders.is_of_system(real):
                for path, entry in _unknown(guest, real, found, 0):
                    found.setdefault(path, Account(entry.name, entry.uid, entry.gid, path))
    return list(found.values())


def _unknown(guest: View, folder: str, known: dict[str, Account], depth: int) -> Iterator[tuple[str, GuestFile]]:
    """Home folders without an account below a folder. A folder is searched if it contains home
    folders and is not one itself."""
    for entry in guest.listdir(folder):
        path = posixpath.join(folder, entry.name)
        if entry.kind != "dir" or path in known:
            continue
        looks = any(inner.name in _SIGNS for inner in guest.listdir(path))
        if looks or depth == 0:
            yield path, entry
        if not looks and depth < _DEEPEST:
            yield from _unknown(guest, path, known, depth + 1)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10
