"""Remove user accounts with their home folders.

Removes the accounts in ``users``, or all accounts with a user id from 1000 to 59999 except those in
``keep``. This covers their lines in ``passwd``, ``shadow``, ``group``, ``gshadow``, ``subuid`` and
``subgid``, their group memberships, home folders, mailboxes and crontabs, and the files named after
them in ``sudoers.d``. Not in the default set.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise import system_folders
from imagebuild.customise.facts import ACCOUNTS, Account
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import UserName
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
REPLACES = ("user-account",)


class Params(BaseParams):
    users: tuple[UserName, ...] = Field(default=(), description="the accounts to remove; by default all user accounts")
    keep: tuple[UserName, ...] = Field(default=(), description="accounts that stay if no `users` are given")


_PEOPLE = range(1000, 60000)
_BY_NAME = (ACCOUNTS, "/etc/shadow", "/etc/subuid", "/etc/subgid")
_GROUPS = ("/etc/group", "/etc/gshadow")
_FILES = (
    "/var/mail/{}",
    "/var/spool/mail/{}",
    "/var/spool/cron/{}",
    "/var/spool/cron/crontabs/{}",
    "/etc/sudoers.d/{}",
)


def apply(guest: Guest, params: Params) -> None:
    if guest.real_file(ACCOUNTS) is None:
        raise GuestError(f"this guest has no {ACCOUNTS}")
    accounts = {account.user: account for account in guest.accounts()}
    everyone = {name for name, account in accounts.items() if account.uid in _PEOPLE and name not in params.keep}
    names = set(params.users) & accounts.keys() if params.users else everyone
    if "root" in names:
        raise GuestError("the account root cannot be removed")
    what = f"removed {', '.join(sorted(names))}"
    for path in guest.real_files(*_BY_NAME, *_GROUPS):
        guest.edit(path, partial(_without, names=names, groups=path in _GROUPS), what)
    for name in sorted(names):
        if home := _own_home(guest, accounts[name], [one for one in accounts.values() if one.user not in names]):
            guest.remove([home, accounts[name].path])
        guest.remove(pattern.format(name) for pattern in _FILES)


def _own_home(guest: Guest, account: Account, others: list[Account]) -> str | None:
    """The path of the account's home folder with links resolved. None if there is none, or if it
    belongs to the system or also to other accounts."""
    if not account.path.startswith("/") or not guest.leads_to_folder(account.path):
        return None
    home = guest.realpath(account.path)
    if system_folders.is_of_system(home) or home.count("/") < 2:
        return None
    if not re.match(r"/(home|srv|opt)/|/var/(lib|home)/", home) and (
        account.uid not in _PEOPLE or home.startswith(("/var/", "/etc/"))
    ):
        return None
    theirs = [
        guest.realpath(one.path) for one in others if one.path.startswith("/") and guest.leads_to_folder(one.path)
    ]
    return None if any(f"{path}/".startswith(f"{home}/") for path in theirs) else home


def _without(text: str, names: set[str], *, groups: bool) -> str:
    kept = []
    for line in text.split("\n"):
        fields = line.split(":")
        alone = groups and len(fields) > 3 and not [one for one in fields[3].split(",") if one and one not in names]
        if fields[0] in names and (alone or not groups):
            continue
        if groups and len(fields) > 3 and names & set(fields[-1].split(",")):
            fields[-1] = ",".join(member for member in fields[-1].split(",") if member not in names)
            line = ":".join(fields)
        kept.append(line)
    return "\n".join(kept)
