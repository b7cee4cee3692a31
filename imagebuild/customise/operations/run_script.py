"""Run a script in the guest.

The script is a text or a file of the build host. It is copied into the guest, run as root in the
appliance by the interpreter in its first line, and removed again. An exit status other than 0 is an
error that includes the output. No services are running, and there is no network unless ``network``
is set, as with run-command. The changes made by a script are not recorded, so each run counts as a
change.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise import commands, content
from imagebuild.customise.commands import CommandParams
from imagebuild.customise.content import ContentParams
from imagebuild.customise.host_inputs import HostPath
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import Line
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE
REPLACES = ("script",)


class Params(CommandParams, ContentParams):
    text: str | None = Field(
        default=None, pattern=r"^#!", description="the script; it must begin with a line such as #!/bin/sh"
    )
    file: HostPath | None = Field(default=None, description=content.FILE)
    arguments: tuple[Line, ...] = Field(default=(), description="arguments of the script")


_PLACE = "/.imagebuild-script"


def needs_network(guest: Guest, params: Params) -> bool:
    return params.network


def apply(guest: Guest, params: Params) -> None:
    script = content.of(guest, params)
    if not script.startswith(b"#!"):
        name = content.name(guest, params)
        raise GuestError(f"{name} is not a script: its first line does not name an interpreter, such as #!/bin/sh")
    path = f"{_PLACE}/{posixpath.basename(params.file or 'script')}"
    with guest.scratch(_PLACE):
        guest.create(path, script, mode=0o700)
        commands.run(guest, [path, *params.arguments], params, params.file or " ".join((params.text or "").split()))
