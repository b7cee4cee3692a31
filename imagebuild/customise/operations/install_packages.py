"""Install packages that the guest does not have yet.

Uses the guest's own apt, dnf, yum, zypper or apk with the guest's own sources. When everything is there
already, nothing is run and no network is needed. Services of new packages are not started. A package
that cannot be installed is an error. What packages only provide counts as well: `mail-transport-agent` where a mail server is there,
`perl(JSON)` with rpm, `cmd:vim` with apk. dnf and yum also take the path of a file, `/usr/bin/vim`, and groups, `@core`; whether a group is there
is not looked up, so that a group always needs the network.

With a ``repository`` nothing is downloaded and no other source is asked: it is a folder of this machine with the packages and all that they need.
It is copied into the guest for as long as the installation takes, so the guest's disk must have room for it. For dnf, yum and zypper ``createrepo_c`` makes its index, for apk
``apk index``; a folder of .deb files needs none. Its packages are trusted whoever signed them.
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
    packages: tuple[Installable, ...] = Field(min_length=1, description="names of the packages that must be there")
    repository: HostPath | None = Field(
        default=None, description="folder of packages of this machine, relative to the file that names it"
    )
    recommends: bool = Field(default=False, description="also install what they recommend (weak dependencies)")


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
        raise GuestError(f"the guest's package manager ended well but did not install {', '.join(still)}")
    package_manager.record(guest, before)


def _missing(guest: Guest, names: tuple[str, ...], among: packages.InstalledPackages) -> tuple[str, ...]:
    groups = tuple(name for name in names if _is_group(name))
    return (*packages.missing(guest, [name for name in names if not _is_group(name)], among), *groups)


def _is_group(name: str) -> bool:
    return name.startswith("@")
