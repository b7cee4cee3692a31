"""The guest comes back from a reboot.

Reboots on request, within a time limit, and compares the kernel's boot id before and after: a guest
that ignores the request has the same one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import Field

from imagebuild.verify import check, printed
from imagebuild.verify.check import RunningGuest

TURN = "reboot"
_BOOT = "cat /proc/sys/kernel/random/boot_id"


class Params(check.Params):
    limit: int = Field(default=300, gt=0, description="seconds until the guest is usable again")
    emulated: int = Field(default=900, gt=0, description="the same where the host has no KVM")


def act(guest: RunningGuest, params: Params) -> Iterator[str]:
    limit = params.emulated if guest.emulated else params.limit
    before = _boot_id(guest)
    try:
        guest.reboot(timeout=limit)
    except TimeoutError:
        yield f"the guest was not usable {limit} s after it was asked to reboot"
        return
    if _boot_id(guest) == before:
        yield "the guest did not reboot: its boot id is the same as before"


def _boot_id(guest: RunningGuest) -> str:
    found = re.fullmatch(r"[0-9a-f-]{36}", guest.run(_BOOT).text.strip())
    if found is None:
        raise printed.unreadable("the guest's boot id")
    return found[0]
