"""Remove the backup copies that programs make of files they change.

These are made by editors, account tools and package managers. ``passwd-``, ``shadow-`` and the like
contain accounts and passwords that the guest no longer has, and so do Debian's daily copies in
``/var/backups``. ``/etc/security/opasswd``, to which PAM writes users' previous passwords, is
emptied.

In ``/etc``, ``/root``, ``/srv`` and ``/var`` the operation also removes files that end in ``~`` or
``.bak``, the temporary and recovery files of editors (``.file.swp``, ``#file#``, ``file.save``),
and configuration files saved by a package manager, Augeas or pam-auth-update (``.dpkg-old``,
``.rpmsave``, ``.augsave``, ``.pam-old``). Links and folders stay, and so do files in containers and
in images of other machines.

An audit does not report copies of account files that contain only what the current files contain,
and no password.
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
"""A password in the second field: neither an ``x`` nor the mark of a locked account."""
_OLD_PASSWORDS = "/etc/security/opasswd"
_DAILY = (
    "/var/backups/*.bak",
    "/var/backups/*.bak.*",
    "/var/backups/dpkg.*",
    "/var/backups/apt.extended_states*",
    "/var/backups/alternatives.tar*",
    "/var/backups/aptitude.pkgstates*",
    "/var/lib/authselect/backups/*/*",
)
"""Files that Debian's cron jobs and timers copy every day, and that authselect copies before a
change."""
_FOLDERS = ("/etc", "/root", "/srv", "/var")
_NAMES = re.compile(
    r"~$|^#.+#$|\.bak$|\.save(\.\d+)?$|\.augsave$|\.pam-old$|\.sw[po]$|\.(dpkg|ucf)-(old|bak|tmp)$|\.rpm(save|orig)$"
)
_OF_OTHERS = re.compile(
    r"/var/lib/(docker|containers|containerd|lxc|lxd|incus|machines|portables|libvirt/images|flatpak|snapd)/|/var/snap/"
)


def apply(guest: Guest, params: NoParams) -> None:
    for path in (f"/etc/{name}" for name in _ACCOUNTS):
        with nullcontext() if _holds_secrets(guest, path) else guest.tidying():
            guest.remove(path)
    guest.empty(_OLD_PASSWORDS)
    guest.remove_files(*_DAILY)
    for folder in _FOLDERS:
        found = guest.walk(folder)
        guest.remove(
            path
            for path, entry in found
            if entry.kind == "file" and _NAMES.search(entry.name) and not _OF_OTHERS.match(path)
        )


def _holds_secrets(guest: Guest, path: str) -> bool:
    """Whether a copy contains a password, or an account that the guest does not have. The copies
    that packages leave in a clean image contain neither."""
    now = path.removesuffix("-").removesuffix(".OLD")
    if not guest.is_file(path):
        return guest.exists(path)
    known = {_account(line) for line in guest.read(now).splitlines()} if guest.real_file(now) else set()
    lines = [line for line in guest.read(path).splitlines() if line]
    return any(_account(line) not in known or _HASH.search(line) for line in lines)


def _account(line: str) -> str:
    return line.partition(":")[0]
