"""Empty the caches of apt, dnf and yum.

Package lists, downloaded packages and what was computed from them, and the backup copies that dpkg
and debconf keep. All of it comes back with the next ``apt-get update`` or ``dnf`` run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, NotApplicable, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
Params = NoParams

# apt expects its `partial` folders and `lock` files: they stay.
_APT = (
    "/var/lib/apt/lists/*_*",
    "/var/lib/apt/lists/partial/*",
    "/var/cache/apt/*.bin",
    "/var/cache/apt/archives/*.deb",
    "/var/cache/apt/archives/partial/*",
    "/var/cache/debconf/*-old",
    "/var/lib/dpkg/*-old",
)
_DNF = (
    "/var/cache/dnf/*",
    "/var/cache/libdnf5/*",
    "/var/cache/yum/*",
    "/var/cache/PackageKit/*",
)
_FOLDERS = ("/var/lib/apt", "/var/cache/apt", "/var/cache/dnf", "/var/cache/libdnf5", "/var/cache/yum")


def apply(guest: Guest, params: NoParams) -> None:
    if not any(guest.is_dir(folder) for folder in _FOLDERS):
        raise NotApplicable("neither apt nor dnf nor yum in this guest")
    guest.remove(guest.glob(*_APT, *_DNF))
