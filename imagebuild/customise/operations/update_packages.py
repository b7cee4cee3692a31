"""Update all packages of the guest.

Uses the guest's own apt, dnf, yum, zypper or apk with the guest's own repositories, and always
needs the network. Services are not started. If a new kernel is installed, the guest boots it next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.linux import package_manager, packages
from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE
Params = NoParams


def needs_network(guest: Guest, params: NoParams) -> bool:
    return True


def apply(guest: Guest, params: NoParams) -> None:
    before = packages.installed(guest)
    package_manager.update(guest)
    package_manager.record(guest, before)
