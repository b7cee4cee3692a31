"""Editing the files that describe accounts: /etc/passwd, shadow, group, gshadow, subuid and subgid.
Pure functions, except those that take a guest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from imagebuild.customise.facts import ACCOUNTS
from imagebuild.customise.linux.text import with_line_at_end
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

SHADOW = "/etc/shadow"
GROUPS = "/etc/group"
_GROUP_SECRETS = "/etc/gshadow"
_SUBORDINATE = ("/etc/subuid", "/etc/subgid")
_SUBORDINATE_IDS = 65536
_FIRST_SUBORDINATE = 100_000
"""useradd's defaults, SUB_UID_COUNT and SUB_UID_MIN in login.defs(5)."""
_LOCKED = "!"
_PEOPLE = range(1000, 60001)
"""UID_MIN and UID_MAX in login.defs(5)."""

Fields = list[str]


def find(text: str, name: str) -> Fields | None:
    """The fields of the line of ``name``."""
    return next((fields for fields in map(_fields, text.splitlines()) if fields[0] == name), None)


def with_fields(text: str, name: str, change: Callable[[Fields], Sequence[str]]) -> str:
    """``text`` with a changed line for ``name``."""
    lines = [":".join(change(_fields(line))) if _fields(line)[0] == name else line for line in text.split("\n")]
    return "\n".join(lines)


def _fields(line: str) -> Fields:
    return line.split(":")


def holder(text: str, number: int) -> str | None:
    """The name on the line that has ``number`` as its id."""
    return next((fields[0] for fields in map(_fields, text.splitlines()) if fields[2:3] == [str(number)]), None)


def free_id(text: str) -> int:
    """The lowest id for user accounts and groups that no line uses. GuestError if all are in use."""
    taken = {fields[2] for fields in map(_fields, text.splitlines()) if len(fields) > 2}
    found = next((number for number in _PEOPLE if str(number) not in taken), None)
    if found is None:
        raise GuestError(f"all ids from {_PEOPLE.start} on are in use in the guest")
    return found


def add_group(guest: Guest, name: str, gid: int | None = None) -> int:
    """Make sure that a group exists, and return its id."""
    text = guest.read(GROUPS)
    if (found := find(text, name)) is not None and len(found) > 2 and found[2].isdigit():
        if gid is not None and int(found[2]) != gid:
            raise GuestError(f"the guest's group {name} has the id {found[2]}, not {gid}")
        return int(found[2])
    if gid is not None and (other := holder(text, gid)) is not None:
        raise GuestError(f"the id {gid} is already in use by the guest's group {other}")
    number = gid if gid is not None else free_id(text)
    guest.edit(GROUPS, lambda old: with_line_at_end(old, f"{name}:x:{number}:"), f"added {name}")
    if guest.real_file(_GROUP_SECRETS):
        guest.edit(_GROUP_SECRETS, lambda old: with_line_at_end(old, f"{name}:{_LOCKED}::"), f"added {name}")
    return number


def add_member(guest: Guest, group: str, user: str) -> None:
    """Make sure that an account is a member of an existing group."""

    def joined(fields: Fields) -> Sequence[str]:
        members = [member for member in fields[-1].split(",") if member]
        return fields if user in members else [*fields[:-1], ",".join([*members, user])]

    for path in guest.real_files(GROUPS, _GROUP_SECRETS):
        guest.edit(path, lambda text: with_fields(text, group, joined), f"{user} is a member of {group}")


def add_subordinate_ids(guest: Guest, user: str) -> None:
    """Assign a range of subordinate ids to an account, as useradd does if the guest uses such
    ranges."""
    for path in guest.real_files(*_SUBORDINATE):
        text = guest.read(path)
        if find(text, user) is None:
            start = max([_FIRST_SUBORDINATE, *_ends(text.splitlines())])
            guest.edit(path, partial(with_line_at_end, line=f"{user}:{start}:{_SUBORDINATE_IDS}"), f"added {user}")


def _ends(lines: Iterable[str]) -> list[int]:
    ranges = [fields[1:3] for fields in map(_fields, lines)]
    return [int(one[0]) + int(one[1]) for one in ranges if len(one) == 2 and all(part.isdigit() for part in one)]


def set_password(guest: Guest, user: str, crypted: str) -> None:
    """Set the password field of an existing account: a hash in crypt(5) format, or a lock."""

    def changed(fields: Fields) -> Sequence[str]:
        return [fields[0], crypted, *fields[2:]]

    guest.edit(
        ACCOUNTS, lambda text: with_fields(text, user, lambda old: [old[0], "x", *old[2:]]), "password in shadow"
    )
    if find(guest.read(SHADOW), user) is None:
        # No date of the last change: nothing expires, and two builds are identical.
        guest.edit(SHADOW, lambda text: with_line_at_end(text, f"{user}:{crypted}::0:99999:7:::"), f"added {user}")
    else:
        guest.edit(SHADOW, lambda text: with_fields(text, user, changed), f"password of {user}")


def lock(guest: Guest, user: str) -> None:
    """Lock the password of an existing account; the old value is kept behind the mark, as passwd -l
    does it."""
    now = (find(guest.read(SHADOW), user) or ["", ""])[1]
    if find(guest.read(SHADOW), user) is None or not now.startswith(("!", "*")):
        set_password(guest, user, _LOCKED + now)
    elif find(guest.read(SHADOW), user) is None:
        set_password(guest, user, _LOCKED)


def check(guest: Guest, user: str) -> None:
    """GuestError unless the guest stores passwords in /etc/shadow and has the account."""
    for path in (ACCOUNTS, SHADOW):
        if guest.real_file(path) is None:
            raise GuestError(f"this guest has no {path}")
    if find(guest.read(ACCOUNTS), user) is None:
        raise GuestError(f"the guest has no account {user}", "create it with create-user")
