"""Ask for the guest's settings again at its next boot.

Creates ``/.unconfigured``. If it exists, initial-setup (Fedora and RHEL) and firstboot (RHEL 6 and
earlier) ask for passwords, network and time zone on the console. Not in the default set, because a
template that asks questions is not unattended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
REPLACES = ("flag-reconfiguration",)
Params = NoParams


def apply(guest: Guest, params: NoParams) -> None:
    guest.create("/.unconfigured", "")
