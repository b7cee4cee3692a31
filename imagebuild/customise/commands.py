"""What the operations that run something of a recipe's in the guest have in common."""

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
"""Characters."""


class CommandParams(BaseParams):
    """Parameters of the operations that run something."""

    network: bool = Field(default=False, description="let it reach the network while it runs")


def run(guest: Guest, argv: Sequence[str], params: CommandParams, shown: str) -> None:
    """Run a program as root; GuestError with what it said if it fails. What it changes nobody knows: it counts as one change."""
    with guest.network() if params.network else nullcontext():
        guest.run(argv, _ENVIRONMENT)
    guest.record("/", f"ran {shown[:_LONGEST_SHOWN]}")
