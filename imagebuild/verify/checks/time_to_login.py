"""The guest is usable soon after it was started.

The time from the start of the machine to the state in which it is used. A host without KVM emulates
the guest's processor, and has a limit of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from pydantic import Field

from imagebuild.verify import check
from imagebuild.verify.check import NotCheckable, RunningGuest


class Params(check.Params):
    limit: int = Field(default=120, gt=0, description="seconds that the start may take")
    emulated: int = Field(default=900, gt=0, description="the same where the host has no KVM")


def act(guest: RunningGuest, params: Params) -> Iterator[str]:
    seconds = guest.seconds_to_login
    if not math.isfinite(seconds) or seconds <= 0:
        raise NotCheckable("the time of the start was not measured")
    limit = params.emulated if guest.emulated else params.limit
    if seconds > limit:
        yield f"the guest was usable {seconds:.0f} s after its start, which is more than {limit} s"
