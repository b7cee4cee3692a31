"""Install packages when a clone boots for the first time.

Runs the guest's own apt, dnf, yum, zypper or apk as root and without questions, through the clone's
network. Services of new packages are started. If the installation fails, it is tried again at the
next boot. Use it for packages that need the real machine, or that are reachable only from the
clone's network; everything else is better installed in the image with `install-packages`. The
script is set up like those of `run-at-first-boot`, which also describes where its output goes.
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
    recommends: bool = Field(default=False, description="also install recommended packages (weak dependencies)")
    name: first_boot.Name = Field(default="packages", description="suffix of the names of the script's files")


def apply(guest: Guest, params: Params) -> None:
    commands = package_manager.installing(guest, params.packages, recommends=params.recommends)
    variables = [f"export {name}={value}" for name, value in package_manager.environment(guest).items()]
    lines = ["#!/bin/sh", "set -e", *variables, *map(shlex.join, commands)]
    first_boot.install(guest, params.name, "".join(f"{line}\n" for line in lines))
