"""Install packages that the guest does not have yet.

Uses the guest's own apt, dnf, yum, zypper or apk with the guest's own repositories. If everything
is already installed, nothing is run and no network is needed. Services of new packages are not
started. A package that cannot be installed is an error.

Names that packages only provide count as well: `mail-transport-agent` if a mail server is
installed, `perl(JSON)` with rpm, `cmd:vim` with apk. dnf and yum also accept the path of a file,
`/usr/bin/vim`, and groups, `@core`. Whether a group is already installed is not checked, so a group
always needs the network.

With a ``repository`` nothing is downloaded and no other repository is used. It is a folder on the
build host with the packages and all their dependencies. It is copied into the guest for the
duration of the installation, so the guest's disk must have room for it. The index is created with
``createrepo_c`` for dnf, yum and zypper, and with ``apk index`` for apk; a folder of .deb files
needs none. The packages in it are trusted whoever signed them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.host_inputs import HostPath
from imagebuild.customise.linux import package_manager, packages
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import Installable
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    packages: tuple[Installable, ...] = Field(min_length=1, description="names of the packages to install")
    repository: HostPath | None = Field(
        default=None,
        description="folder of packages on the build host; a relative path is relative to the file it is written in",
    )
    recommends: bool = Field(default=False, description="also install recommended packages (weak dependencies)")


def needs_network(guest: Guest, params: Params) -> bool:
    return params.repository is None and bool(_missing(guest, params.packages, packages.installed(guest)))


def apply(guest: Guest, params: Params) -> None:
    before = packages.installed(guest)
    missing = _missing(guest, params.packages, before)
    if not missing:
        return
    package_manager.install(guest, missing, recommends=params.recommends, repository=params.repository)
    named = [name for name in missing if not _is_group(name)]
    still = packages.missing(guest, named, packages.installed(guest))
    if still:
        raise GuestError(f"the guest's package manager reported success but did not install {', '.join(still)}")
    package_manager.record(guest, before)


def _missing(guest: Guest, names: tuple[str, ...], among: packages.InstalledPackages) -> tuple[str, ...]:
    groups = tuple(name for name in names if _is_group(name))
    return (*packages.missing(guest, [name for name in names if not _is_group(name)], among), *groups)


def _is_group(name: str) -> bool:
    return name.startswith("@")
