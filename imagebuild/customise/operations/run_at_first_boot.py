"""Run a script once, when a clone boots for the first time.

As root, when the network is up. The script and what starts it remove themselves when it has ended well; otherwise it runs again at the next boot. What it
prints is in systemd's journal; under OpenRC, whose service `local` runs it, and on RHEL 6, in ``/var/log/first-boot-NAME.log``. The script needs a first
line that says what runs it. Another script of the same name in the guest is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise import first_boot
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    name: first_boot.Name = Field(default="setup", description="what the names of its files end in")
    script: str = Field(pattern=r"^#!/", description="the script; it begins with a line such as #!/bin/sh")


def apply(guest: Guest, params: Params) -> None:
    first_boot.install(guest, params.name, params.script)
