"""Run a script from the build host in the guest.

The script is copied into the guest, run as root in the appliance by the interpreter in its first
line, and removed again. An exit status other than 0 is an error that includes the output. No
services are running, and there is no network unless ``network`` is set, as with run-command. The
changes made by a script are not recorded, so each run counts as a change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise import commands
from imagebuild.customise.commands import CommandParams
from imagebuild.customise.host_inputs import HostPath
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import HOST_PATH, Line
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE
REPLACES = ("script",)


class Params(CommandParams):
    script: HostPath = Field(description=HOST_PATH)
    arguments: tuple[Line, ...] = Field(default=(), description="arguments of the script")


_PLACE = "/.imagebuild-script"
_LARGEST = 1 << 20
"""The size limit in bytes."""


def needs_network(guest: Guest, params: Params) -> bool:
    return params.network


def apply(guest: Guest, params: Params) -> None:
    source = guest.supplies.path(params.script)
    content = source.read_bytes() if source.is_file() and source.stat().st_size <= _LARGEST else b""
    if not content.startswith(b"#!"):
        raise GuestError(f"{source} is not a script: its first line does not name an interpreter, such as #!/bin/sh")
    script = f"{_PLACE}/{source.name}"
    with guest.scratch(_PLACE):
        guest.create(script, content, mode=0o700)
        commands.run(guest, [script, *params.arguments], params, params.script)
