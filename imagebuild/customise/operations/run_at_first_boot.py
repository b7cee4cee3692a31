"""Run a script once, when a clone boots for the first time.

The script runs as root when the network is up. After it has succeeded, the script and the service
that starts it remove themselves; otherwise it runs again at the next boot. Its output goes to
systemd's journal; under OpenRC, where the service `local` runs it, and on RHEL 6 it goes to
``/var/log/first-boot-NAME.log``. The script needs an interpreter in its first line. If the guest
already has another script with the same name, that is an error. Scripts with different names run in
no particular order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise import content, first_boot
from imagebuild.customise.content import ContentParams
from imagebuild.customise.host_inputs import HostPath
from imagebuild.customise.operation import Phase
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(ContentParams):
    name: first_boot.Name = Field(default="setup", description="suffix of the names of its files")
    text: str | None = Field(
        default=None, pattern=r"^#!/", description="the script; it must begin with a line such as #!/bin/sh"
    )
    file: HostPath | None = Field(default=None, description=content.FILE)


def apply(guest: Guest, params: Params) -> None:
    script = content.text(guest, params)
    if not script.startswith("#!/"):
        raise GuestError(f"{content.name(guest, params)} is not a script: its first line must be like #!/bin/sh")
    first_boot.install(guest, params.name, script)
