"""Remove accounts of people, with their home folders.

The accounts that are named, or all with a user id from 1000 to 59999 except those to ``keep``. Their lines in ``passwd``, ``shadow``,
``group``, ``gshadow``, ``subuid`` and ``subgid`` go, so do their memberships, home folders, mail boxes, crontabs and files in
``sudoers.d`` of their name. Not in the default set.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
REPLACES = ("user-account",)

UserName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]


class Params(BaseParams):
    users: tuple[UserName, ...] = Field(default=(), description="the accounts; none means all of people")
    keep: tuple[UserName, ...] = Field(default=(), description="accounts that stay, where no `users` are named")


_PEOPLE = range(1000, 60000)
_BY_NAME = ("/etc/passwd", "/etc/shadow", "/etc/subuid", "/etc/subgid")
_GROUPS = ("/etc/group", "/etc/gshadow")
_FILES = (
    "/var/mail/{}",
    "/var/spool/mail/{}",
    "/var/spool/cron/{}",
    "/var/spool/cron/crontabs/{}",
    "/etc/sudoers.d/{}",
)


def apply(guest: Guest, params: Params) -> None:
    if guest.real_file("/etc/passwd") is None:
        raise GuestError("this guest has no /etc/passwd")
    homes = {fields[0]: (int(fields[2]), fields[5].rstrip("/")) for fields in _accounts(guest.read("/etc/passwd"))}
    everyone = {name for name, (uid, _) in homes.items() if uid in _PEOPLE and name not in params.keep}
    names = set(params.users) & homes.keys() if params.users else everyone
    if "root" in names:
        raise GuestError("the account root cannot be removed")
    for path in (*_BY_NAME, *_GROUPS):
        if guest.real_file(path):
            guest.edit(
                path, partial(_without, names=names, groups=path in _GROUPS), f"removed {', '.join(sorted(names))}"
            )
    for name in sorted(names):
        home = homes[name][1]
        if re.fullmatch(r"/(home|srv|opt)/.+|/var/lib/.+", home) and ".." not in home.split("/"):
            guest.remove(home)
        guest.remove(pattern.format(name) for pattern in _FILES)


def _accounts(text: str) -> list[list[str]]:
    lines = (line.split(":") for line in text.splitlines())
    return [fields for fields in lines if len(fields) >= 7 and fields[2].isdigit()]


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
