"""Run a command in the guest.

The command is a list with a program of the guest and its arguments, which are passed on unchanged,
or a string for the guest's ``/bin/sh``. It runs as root in the appliance. An exit status other than
0 is an error that includes the output. No services are running. There is no network unless
`network` is set; in that case the guest can open connections and resolve names only while the
command runs. The changes made by a command are not recorded, so each run counts as a change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise import commands
from imagebuild.customise.commands import CommandParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import Line

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE
REPLACES = ("script",)


class Params(CommandParams):
    command: str | tuple[Line, ...] = Field(
        min_length=1, description="list of words, or a string for the guest's shell"
    )


def needs_network(guest: Guest, params: Params) -> bool:
    return params.network


def apply(guest: Guest, params: Params) -> None:
    text = isinstance(params.command, str)
    argv = ["/bin/sh", "-e", "-c", str(params.command)] if text else list(params.command)
    commands.run(guest, argv, params, " ".join(str(params.command).split()) if text else " ".join(argv))
