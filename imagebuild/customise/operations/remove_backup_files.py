"""Remove the copies that editors and account tools keep of what they have changed.

``passwd-``, ``shadow-`` and their like hold accounts and passwords that the guest does not have any more. In ``/etc``,
``/root`` and ``/srv`` also files that end in ``~`` or ``.bak``, and editors' swap files. Links and folders stay.
"""

from __future__ import annotations

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
_FOLDERS = ("/etc", "/root", "/srv")
_ENDINGS = ("~", ".bak", ".swp", ".swo")


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(f"/etc/{name}" for name in _ACCOUNTS)
    for folder in _FOLDERS:
        found = guest.walk(folder)
        guest.remove([path for path, entry in found if entry.kind == "file" and entry.name.endswith(_ENDINGS)])
