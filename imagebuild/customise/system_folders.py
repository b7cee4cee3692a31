"""Which folders of a guest belong to the system: a cleanup must not empty them when a link leads
there."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_ITSELF = frozenset({
    "/", "/data", "/etc", "/export", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/sysroot", "/usr",
    "/usr/local", "/var",
    "/var/cache", "/var/lib", "/var/lock", "/var/log", "/var/spool", "/var/home", "/var/opt", "/var/srv",
})  # fmt: skip
"""Folders that are system folders themselves, but not the folders in them: file-hierarchy(7),
hier(7)."""
_WHOLE = re.compile(
    r"/(?:(?:usr/|usr/local/)?(?:s?bin|lib(?:32|64|x32|exec)?)|usr/(?:local/)?(?:etc|games|include|share|src)|"
    r"usr/lib/.*"
    r"|boot|efi|dev|proc|sys|ostree|snap|nix|gnu)(?:/.*)?"
)
"""Folders that contain only the system, including everything in them."""
_SHARED = ("/etc", "/var/lib")
"""Folders in which each program has a folder of its own."""
_SCRATCH = ("/tmp", "/var/tmp", "/var/log", "/var/crash", "/var/mail", "/var/spool/mail")  # noqa: S108 - of the guest
_WILD = re.compile(r"\[[^\]]*\]|[*?]")
_NAMES_LITTLE = 6
"""The number of letters and digits that make a pattern specific, not counting wildcards."""


def names_little(pattern: str) -> bool:
    """Whether a shell pattern matches arbitrary names, as ``*`` and ``*.bin`` do and
    ``ssh_host_*_key`` does not."""
    wild = [part for part in pattern.split("/") if _WILD.search(part)]
    return any(len(re.findall(r"\w", _WILD.sub("", part))) < _NAMES_LITTLE for part in wild)


def leads_astray(asked: str, real: str, mounted: Sequence[str] = ()) -> bool:
    """Whether a folder that was accessed by one path turns out, behind links, to be a system
    folder.

    In that case its contents are not the expected ones: ``/tmp`` may be a link to ``/var/tmp`` or
    ``/data/tmp``, but not to ``/usr``. A folder whose path is already in the system may be anywhere
    in the system. The root of another file system, one of those ``mounted``, is not the expected
    folder either.
    """
    asked = posixpath.normpath(asked)
    if real in _SCRATCH or _WHOLE.fullmatch(asked):
        return False
    if real in mounted:
        return True
    if real in _ITSELF:
        return real != f"/var{asked}"  # /home may be /var/home, on systems where all of the system is in /usr
    if _WHOLE.fullmatch(real):
        return True
    for shared in _SHARED:
        if real.startswith(f"{shared}/"):
            # Inside the folder of one program, a link may lead anywhere.
            return not posixpath.commonpath([asked, real]).startswith(f"{shared}/")
    return False


def is_of_system(real: str) -> bool:
    """Whether a folder cannot be a home folder."""
    return real in _ITSELF or real in _SCRATCH or _WHOLE.fullmatch(real) is not None
