"""Which folders of a guest belong to the system: what a cleanup must not empty when a link leads there."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_ITSELF = frozenset({
    "/", "/data", "/etc", "/export", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/sysroot", "/usr", "/usr/local", "/var",
    "/var/cache", "/var/lib", "/var/lock", "/var/log", "/var/spool", "/var/home", "/var/opt", "/var/srv",
})  # fmt: skip
"""Folders that have others in them, each for itself: file-hierarchy(7), hier(7)."""
_WHOLE = re.compile(
    r"/(?:(?:usr/|usr/local/)?(?:s?bin|lib(?:32|64|x32|exec)?)|usr/(?:local/)?(?:etc|games|include|share|src)|usr/lib/.*"
    r"|boot|efi|dev|proc|sys|ostree|snap|nix|gnu)(?:/.*)?"
)
"""Folders that hold the system and nothing else, with all that is in them."""
_SHARED = ("/etc", "/var/lib")
"""Folders in which each program has one of its own."""
_SCRATCH = ("/tmp", "/var/tmp", "/var/log", "/var/crash", "/var/mail", "/var/spool/mail")  # noqa: S108 - of the guest
_WILD = re.compile(r"\[[^\]]*\]|[*?]")
_NAMES_LITTLE = 6
"""Letters and digits beside the wildcards that make a name of a pattern."""


def names_little(pattern: str) -> bool:
    """Whether a shell pattern matches names of any kind, as ``*`` and ``*.bin`` do and ``ssh_host_*_key`` does not."""
    wild = [part for part in pattern.split("/") if _WILD.search(part)]
    return any(len(re.findall(r"\w", _WILD.sub("", part))) < _NAMES_LITTLE for part in wild)


def leads_astray(asked: str, real: str, mounted: Sequence[str] = ()) -> bool:
    """Whether a folder that was looked for by one path turns out, behind links, to be one of the system's.

    Then what is in it is not what was looked for: ``/tmp`` may be a link to ``/var/tmp`` or ``/data/tmp``, not to ``/usr``.
    A folder that is the system's already by the path it was looked for may be anywhere in the system. The root of another file
    system, one of those ``mounted``, is not what was looked for either.
    """
    asked = posixpath.normpath(asked)
    if real in _SCRATCH or _WHOLE.fullmatch(asked):
        return False
    if real in mounted:
        return True
    if real in _ITSELF:
        return real != f"/var{asked}"  # /home may be /var/home: so it is where /usr is all of the system
    if _WHOLE.fullmatch(real):
        return True
    for shared in _SHARED:
        if real.startswith(f"{shared}/"):
            # Within what one program has, a link may lead anywhere.
            return not posixpath.commonpath([asked, real]).startswith(f"{shared}/")
    return False


def is_of_system(real: str) -> bool:
    """Whether a folder cannot be anybody's home."""
    return real in _ITSELF or real in _SCRATCH or _WHOLE.fullmatch(real) is not None
