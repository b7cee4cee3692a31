"""Whether a guest contains password hashes: anybody who can read its image can try any number of
passwords against them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagebuild.customise.guest import Guest
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.files import Files

_FILES = ("/etc/*shadow*", "/etc/passwd*", "/etc/security/opasswd*")
"""Including the copies that are made before a change. opasswd contains previous passwords
(pam_pwhistory(8))."""
_LIMIT = 4 << 20
_HASH = re.compile(
    rb"""
    \$[0-9a-z][0-9a-z-]*\$[^:\s]{8}                 # crypt(5): $id$salt$hash, wherever it stands in a line
    | ^[^:\n]*:!*(?:[./0-9A-Za-z]{13}|_[./0-9A-Za-z]{19}):   # descrypt and bsdicrypt have no prefix; ! only locks
    """,
    re.VERBOSE | re.MULTILINE,
)


def found(files: Files) -> bool:
    """Whether one of the account files contains a hash; also true if something with such a name
    cannot be read."""
    guest = Guest(files)
    return any(_holds(guest, path) for pattern in _FILES for path in guest.glob(pattern))


def _holds(guest: Guest, path: str) -> bool:
    try:
        return _HASH.search(guest.read_bytes(path, _LIMIT)) is not None
    except GuestError:
        return not guest.leads_to_folder(path)
