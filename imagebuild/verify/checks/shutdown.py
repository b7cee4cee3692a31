"""The guest shuts down when it is asked to.

Asks as the power button does (ACPI), or through the guest agent, and waits until the machine is off.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from imagebuild.verify import check
from imagebuild.verify.check import RunningGuest

TURN = "shutdown"


class Params(check.Params):
    limit: int = Field(default=60, gt=0, description="seconds until the guest is off")
    emulated: int = Field(default=180, gt=0, description="the same where the host has no KVM")


def act(guest: RunningGuest, params: Params) -> Iterator[str]:
    limit = params.emulated if guest.emulated else params.limit
    try:
        guest.shut_down(timeout=limit)
    except TimeoutError:
        yield f"the guest was not off {limit} s after it was asked to shut down"
