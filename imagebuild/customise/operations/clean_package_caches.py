"""Empty the caches of the package manager.

Removes the package lists, downloaded packages and derived caches of apt, dnf, yum, zypper, apk and
pacman, the backup copies of dpkg and debconf, the machine-specific indexes of rpm's older database,
the records of pending updates, PackageKit's transaction history and the indexes of locate. All of
these are created again by the next run of the package manager or of the timer that made them. The
reason why a package is installed (dnf's history, aptitude's states) is not a cache and stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, NotApplicable, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "trace"
REPLACES = ("package-manager-cache", "rpm-db")
Params = NoParams

# apt requires its `partial` folders and `lock` files, so they stay.
_APT = (
    "/var/lib/apt/lists/*_*",
    "/var/lib/apt/lists/partial/*",
    "/var/cache/apt/*.bin",
    "/var/cache/apt/archives/*.deb",
    "/var/cache/apt/archives/partial/*",
    "/var/cache/debconf/*-old",
    "/var/lib/dpkg/*-old",
    "/var/lib/apt/periodic/*",
    "/var/lib/update-notifier/updates-available",
    "/var/lib/update-manager/meta-release*",
    "/var/lib/ubuntu-release-upgrader/release-upgrade-available",
    "/var/lib/unattended-upgrades/kept-back",
)
_OTHERS = (
    "/var/cache/dnf/*",
    "/var/cache/libdnf5/*",
    "/var/cache/yum/*",
    "/var/cache/PackageKit/*",
    "/var/lib/rpm/__db.*",
    "/var/cache/zypp/*",
    "/var/cache/zypper/*",
    "/var/cache/apk/*",
    "/var/cache/pacman/pkg/*",
    "/var/lib/PackageKit/transactions.db*",
    "/var/lib/PackageKit/prepared-update",
    "/var/lib/yum/repos/*",
    "/var/lib/mlocate/mlocate.db",
    "/var/lib/plocate/plocate.db",
)
_FOLDERS = (
    "/var/lib/apt", "/var/cache/apt", "/var/cache/dnf", "/var/cache/libdnf5", "/var/cache/yum",
    "/var/lib/rpm", "/var/cache/zypp", "/var/cache/apk", "/var/cache/pacman",
)  # fmt: skip


def apply(guest: Guest, params: NoParams) -> None:
    if not any(guest.leads_to_folder(folder) for folder in _FOLDERS):
        raise NotApplicable("this guest has no package manager with a cache")
    guest.remove(guest.sweep(*_APT, *_OTHERS))
