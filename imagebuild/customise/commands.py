"""Common code of the operations that run something from a recipe in the guest."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.operation import Params as BaseParams

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "HOME": "/root"}
_LONGEST_SHOWN = 80
"""The maximum number of characters shown."""


class CommandParams(BaseParams):
    """Parameters of the operations that run something."""

    network: bool = Field(default=False, description="whether it may use the network while it runs")


def run(guest: Guest, argv: Sequence[str], params: CommandParams, shown: str) -> None:
    """Run a program as root; GuestError with its output if it fails. Its changes are not known, so
    it counts as one change."""
    with guest.network() if params.network else nullcontext():
        guest.run(argv, _ENVIRONMENT)
    guest.record("/", f"ran {shown[:_LONGEST_SHOWN]}")
