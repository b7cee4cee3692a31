"""Run a command in the guest.

A program of the guest with its arguments, or one text for the guest's ``/bin/sh``, run as root in the appliance. A list is passed on word by
word. Another exit status than 0 is an error with what the program said. No service runs. There is no network unless `network` asks for it;
then the guest can connect to others and resolves names while the command runs, and not before and after. What a command
changes is not on record, so each run counts as a change.
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
    command: str | tuple[Line, ...] = Field(min_length=1, description="words, or a text for the guest's shell")


def needs_network(guest: Guest, params: Params) -> bool:
    return params.network


def apply(guest: Guest, params: Params) -> None:
    text = isinstance(params.command, str)
    argv = ["/bin/sh", "-e", "-c", str(params.command)] if text else list(params.command)
    commands.run(guest, argv, params, " ".join(str(params.command).split()) if text else " ".join(argv))
