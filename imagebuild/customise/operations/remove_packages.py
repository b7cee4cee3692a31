"""Remove packages that the guest has, with their configuration.

Uses the guest's own apt, dnf, yum, zypper or apk. Packages that depend on a removed package are
removed too and are recorded. A package that is not installed is not an error; if none is installed,
nothing is run. A name that is only provided by other packages, such as `mail-transport-agent`, is
an error. Needs no network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.linux import package_manager, packages
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import PackageName
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    packages: tuple[PackageName, ...] = Field(min_length=1, description="names of the packages to remove")


def apply(guest: Guest, params: Params) -> None:
    before = packages.installed(guest)
    there = [name for name in params.packages if before.has(name)]
    provided = [name for name in params.packages if name not in there and name in before.provided]
    if provided:
        raise GuestError(
            f"the guest has no package called {', '.join(provided)}, only others that provide it",
            "list the packages that provide it instead",
        )
    if not there:
        return
    package_manager.remove(guest, there)
    after = packages.installed(guest)
    left = [name for name in there if after.has(name)]
    if left:
        raise GuestError(f"the guest's package manager reported success but did not remove {', '.join(left)}")
    package_manager.record(guest, before)
