"""Remove the copies that editors and account tools keep of what they have changed.

``passwd-``, ``shadow-`` and their like hold accounts and passwords that the guest does not have any more. In ``/etc``,
``/root`` and ``/srv`` also files that end in ``~`` or ``.bak``, and editors' swap files. Links and folders stay.
An audit does not report copies of account files that hold nothing else than the files do now, and no password.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "secret"
REPLACES = ("backup-files", "passwd-backups")
Params = NoParams

_ACCOUNTS = (
    "passwd-",
    "shadow-",
    "group-",
    "gshadow-",
    "subuid-",
    "subgid-",
    "passwd.OLD",
    "shadow.OLD",
    "group.OLD",
    "gshadow.OLD",
)
_HASH = re.compile(r"^[^:]*:[!*]*[$_A-Za-z0-9./][^:]{3,}:")
"""A password in the second field: neither an ``x``, nor what locks an account."""
_FOLDERS = ("/etc", "/root", "/srv")
_ENDINGS = ("~", ".bak", ".swp", ".swo")


def apply(guest: Guest, params: NoParams) -> None:
    for path in (f"/etc/{name}" for name in _ACCOUNTS):
        with nullcontext() if _tells(guest, path) else guest.tidying():
            guest.remove(path)
    for folder in _FOLDERS:
        found = guest.walk(folder)
        guest.remove(path for path, entry in found if entry.kind == "file" and entry.name.endswith(_ENDINGS))


def _tells(guest: Guest, path: str) -> bool:
    """Whether a copy has a password, or an account that the guest does not have: those that packages leave in a clean image have neither."""
    now = path.removesuffix("-").removesuffix(".OLD")
    if not guest.is_file(path):
        return guest.exists(path)
    known = {_account(line) for line in guest.read(now).splitlines()} if guest.real_file(now) else set()
    lines = [line for line in guest.read(path).splitlines() if line]
    return any(_account(line) not in known or _HASH.search(line) for line in lines)


def _account(line: str) -> str:
    return line.partition(":")[0]
