"""Remove the copies that programs keep of what they have changed.

Editors, account tools and package managers do. ``passwd-``, ``shadow-`` and their like hold accounts and passwords that the guest does not have any more, and so do Debian's daily copies in
``/var/backups``; ``/etc/security/opasswd``, which PAM fills with the passwords that people had before, is emptied. In ``/etc``, ``/root``, ``/srv``
and ``/var`` also files that end in ``~`` or ``.bak``, editors' swap files, and configuration files that a package manager has set aside
(``.dpkg-old``, ``.rpmsave``). Links and folders stay, and so does what is in containers and in images of other machines.
"""

from __future__ import annotations

import re
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
_OLD_PASSWORDS = "/etc/security/opasswd"
_DAILY = (
    "/var/backups/*.bak",
    "/var/backups/*.bak.*",
    "/var/backups/dpkg.*",
    "/var/backups/apt.extended_states*",
    "/var/backups/alternatives.tar*",
    "/var/backups/aptitude.pkgstates*",
)
"""What Debian's cron jobs and timers copy every day."""
_FOLDERS = ("/etc", "/root", "/srv", "/var")
_NAMES = re.compile(r"~$|\.bak$|\.sw[po]$|\.(dpkg|ucf)-(old|bak|tmp)$|\.rpm(save|orig)$")
_OF_OTHERS = re.compile(
    r"/var/lib/(docker|containers|containerd|lxc|lxd|incus|machines|portables|libvirt/images|flatpak|snapd)/|/var/snap/"
)


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(f"/etc/{name}" for name in _ACCOUNTS)
    guest.empty(_OLD_PASSWORDS)
    guest.remove_files(*_DAILY)
    for folder in _FOLDERS:
        found = guest.walk(folder)
        guest.remove(
            path
            for path, entry in found
            if entry.kind == "file" and _NAMES.search(entry.name) and not _OF_OTHERS.match(path)
        )
