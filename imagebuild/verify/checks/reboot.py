"""The guest comes back from a reboot.

Reboots on request, within a time limit, and compares the kernel's boot id before and after: a guest
that ignores the request has the same one. A clone with a seed for cloud-init must be the same instance
afterwards: the modules of cloud-init that run once for an instance have not run again, and the SSH host
keys are those from before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import Field

from imagebuild.verify import check, printed
from imagebuild.verify.check import RunningGuest

TURN = "reboot"
_BOOT = "cat /proc/sys/kernel/random/boot_id"
_INSTANCE = (
    "cloud-init status --wait >/dev/null 2>&1; cat /var/lib/cloud/data/instance-id; "
    "sha256sum /etc/ssh/ssh_host_*_key; stat -c '%n %y' /var/lib/cloud/instance/sem/*"
)
"""What stays if cloud-init sees the same instance; the files in sem are written when a module has run."""


class Params(check.Params):
    limit: int = Field(default=300, gt=0, description="seconds until the guest is usable again")
    emulated: int = Field(default=900, gt=0, description="the same where the host has no KVM")


def act(guest: RunningGuest, params: Params) -> Iterator[str]:
    limit = params.emulated if guest.emulated else params.limit
    before = _boot_id(guest)
    instance = _instance(guest, limit)
    try:
        guest.reboot(timeout=limit)
    except TimeoutError:
        yield f"the guest was not usable {limit} s after it was asked to reboot"
        return
    if _boot_id(guest) == before:
        yield "the guest did not reboot: its boot id is the same as before"
        return
    yield from _changed(instance, _instance(guest, limit))


def _boot_id(guest: RunningGuest) -> str:
    found = re.fullmatch(r"[0-9a-f-]{36}", guest.run(_BOOT).text.strip())
    if found is None:
        raise printed.unreadable("the guest's boot id")
    return found[0]


def _instance(guest: RunningGuest, limit: float) -> list[str]:
    """What must be as it was after the reboot; nothing in a guest without a seed."""
    return guest.run(_INSTANCE, timeout=limit).lines if guest.seed is not None else []


def _changed(before: list[str], after: list[str]) -> Iterator[str]:
    different = [line for line in before if line not in after]
    if different:
        shown = ", ".join(line.split()[-1] if "/ssh_host_" in line else line.split()[0] for line in different[:3])
        yield f"after the reboot cloud-init has made a new instance, or run again: {shown} changed"
