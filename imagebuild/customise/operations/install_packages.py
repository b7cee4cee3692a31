"""Install packages that the guest does not have yet.

Uses the guest's own apt, dnf or yum with the guest's own sources. When everything is there
already, nothing is run and no network is needed. Services of new packages are not started. A package
that cannot be installed is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from imagebuild.customise import packages
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE

PackageName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9+._-]*$")]


class Params(BaseParams):
    packages: tuple[PackageName, ...] = Field(min_length=1, description="names of the packages that must be there")
    recommends: bool = Field(default=False, description="also install what they recommend (weak dependencies)")


_POLICY = "/usr/sbin/policy-rc.d"
_POLICY_TEXT = "#!/bin/sh\nexit 101\n"
"""invoke-rc.d asks this program before it starts a service; 101 means no."""


def needs_network(guest: Guest, params: Params) -> bool:
    return bool(packages.installed(guest).missing(params.packages))


def apply(guest: Guest, params: Params) -> None:
    before = packages.installed(guest)
    missing = before.missing(params.packages)
    if not missing:
        return
    if packages.is_debian(guest):
        _apt(guest, missing, recommends=params.recommends)
    elif packages.is_redhat(guest):
        _dnf(guest, missing, recommends=params.recommends)
    else:
        raise GuestError(f"cannot install {', '.join(missing)}: the guest has neither apt nor dnf nor yum")
    after = packages.installed(guest)
    still = after.missing(missing)
    if still:
        raise GuestError(f"the guest's package manager ended well but did not install {', '.join(still)}")
    for name, version in sorted(after.versions.items()):
        if before.versions.get(name) != version:
            guest.record(f"package {name}", f"installed {version}")


def _apt(guest: Guest, names: tuple[str, ...], *, recommends: bool) -> None:
    env = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    options = ["--yes", "--quiet", "-o", "Dpkg::Use-Pty=0", "-o", "Dpkg::Options::=--force-confold"]
    weak = "--install-recommends" if recommends else "--no-install-recommends"
    with guest.temporary_file(_POLICY, _POLICY_TEXT, mode=0o755):
        # An unreachable source is only a warning to apt unless told otherwise.
        guest.run(["apt-get", "--quiet", "--error-on=any", "update"], env)
        guest.run(["apt-get", *options, weak, "install", "--", *names], env)


def _dnf(guest: Guest, names: tuple[str, ...], *, recommends: bool) -> None:
    if guest.exists("/usr/bin/dnf"):
        guest.run(["dnf", "--assumeyes", f"--setopt=install_weak_deps={recommends}", "install", *names])
    else:
        guest.run(["yum", "--assumeyes", "install", *names])
