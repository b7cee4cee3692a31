"""Whether a guest holds hashes of passwords: who can read its image can try passwords against them, as many as they like."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagebuild.customise.guest import Guest
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.files import Files

_FILES = ("/etc/*shadow*", "/etc/passwd*", "/etc/security/opasswd*")
"""With the copies that are made before a change. opasswd keeps earlier passwords (pam_pwhistory(8))."""
_LIMIT = 4 << 20
_HASH = re.compile(
    rb"""
    \$[0-9a-z][0-9a-z-]*\$[^:\s]{8}                 # crypt(5): $id$salt$hash, wherever it stands in a line
    | ^[^:\n]*:!*(?:[./0-9A-Za-z]{13}|_[./0-9A-Za-z]{19}):   # descrypt and bsdicrypt have no prefix; ! only locks
    """,
    re.VERBOSE | re.MULTILINE,
)


def found(files: Files) -> bool:
    """Whether one of the files for accounts holds one; also if something of such a name cannot be read."""
    guest = Guest(files)
    return any(_holds(guest, path) for pattern in _FILES for path in guest.glob(pattern))


def _holds(guest: Guest, path: str) -> bool:
    try:
        return _HASH.search(guest.read_bytes(path, _LIMIT)) is not None
    except GuestError:
        return not guest.leads_to_folder(path)
