"""Ask the guest to be set up anew at its next boot.

Creates ``/.unconfigured``, by which Fedora's and RHEL's initial-setup, and firstboot of RHEL 6 and before, know that they must ask for
passwords, network and time zone on the console. Not in the default set: a template that asks is not unattended.
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
