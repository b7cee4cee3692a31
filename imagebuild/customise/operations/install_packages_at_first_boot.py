"""Install packages when a clone boots for the first time.

With the guest's own apt, dnf, yum, zypper or apk and the clone's network, as root, without questions; services of new packages are started. If
it fails it is tried again at the next boot. For packages that need the real machine, or what only the clone's network reaches; everything else is better
off in the image, by `install-packages`. It is a script as `run-at-first-boot` makes it: what it says is where that operation tells.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise import first_boot
from imagebuild.customise.linux import package_manager
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import Installable

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    packages: tuple[Installable, ...] = Field(min_length=1, description="names of the packages")
    recommends: bool = Field(default=False, description="also install what they recommend (weak dependencies)")
    name: first_boot.Name = Field(default="packages", description="what the names of the script's files end in")


def apply(guest: Guest, params: Params) -> None:
    commands = package_manager.installing(guest, params.packages, recommends=params.recommends)
    variables = [f"export {name}={value}" for name, value in package_manager.environment(guest).items()]
    lines = ["#!/bin/sh", "set -e", *variables, *map(shlex.join, commands)]
    first_boot.install(guest, params.name, "".join(f"{line}\n" for line in lines))
