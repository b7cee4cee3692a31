"""The guest gives memory back, and takes it again.

Shrinks the running guest's memory to three quarters, not below 384 MiB, and restores it; the guest's
``MemTotal`` follows both times. There is nothing to check in a guest without a balloon: the device,
or its driver virtio_balloon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import Field

from imagebuild.verify import check, printed
from imagebuild.verify.check import NotCheckable, NothingToCheck, RunningGuest

_MIB = 1 << 20
_SMALLEST = 384 * _MIB
_DEFLATE_ON_OOM = 2
"""VIRTIO_BALLOON_F_DEFLATE_ON_OOM of the virtio specification, which libvirt calls autodeflate."""
_NOW = """\
set -- /sys/bus/virtio/drivers/virtio_balloon/virtio*
[ -e "$1" ] && echo "balloon $(cat "$1/features")"
grep '^MemTotal:' /proc/meminfo
"""
_WAIT = """\
i=0
while [ $i -lt {limit} ]; do
    while read -r name size unit; do [ "$name" = MemTotal: ] && break; done </proc/meminfo
    [ "$size" {comparison} {size} ] && break
    i=$((i + 1))
    sleep 1
done
grep '^MemTotal:' /proc/meminfo
"""


class Params(check.Params):
    limit: int = Field(default=30, gt=0, description="seconds within which the guest must follow, each time")
    emulated: int = Field(default=120, gt=0, description="the same where the host has no KVM")


def act(guest: RunningGuest, params: Params) -> Iterator[str]:
    whole = guest.memory[0]
    less = max(whole * 3 // 4 // _MIB * _MIB, _SMALLEST)
    before = guest.run(_NOW)
    total = _total(before.text)
    balloon = re.search(r"^balloon ([01]*)$", before.text, re.MULTILINE)
    if balloon is None:
        raise NothingToCheck("the guest has no balloon")
    if balloon[1][_DEFLATE_ON_OOM : _DEFLATE_ON_OOM + 1] == "1":
        raise NotCheckable("the balloon deflates when memory is short: MemTotal does not follow it")
    if less > whole - 32 * _MIB:
        raise NothingToCheck(f"the guest has only {whole // _MIB} MiB of memory")
    limit = params.emulated if guest.emulated else params.limit
    # The guest's own sum lacks what the kernel keeps; the difference between two sums is exact but for some pages.
    tenth = (whole - less) // 10
    guest.set_memory(less)
    try:
        small = _wait(guest, limit, "-le", total - (whole - less) + tenth)
    finally:
        guest.set_memory(whole)
    large = _wait(guest, limit, "-ge", total - tenth)
    if small > total - (whole - less) + tenth:
        yield (
            f"the guest was to give back {(whole - less) // _MIB} MiB of memory, and gave back "
            f"{max(0, total - small) // _MIB} MiB within {limit} s"
        )
    if large < total - tenth:
        yield f"the guest has {large // _MIB} MiB of its {total // _MIB} MiB {limit} s after it got its memory back"


def _wait(guest: RunningGuest, limit: int, comparison: str, size: int) -> int:
    """The guest's memory in bytes, once ``size`` is reached or the time is up."""
    script = _WAIT.format(limit=limit, comparison=comparison, size=size // 1024)
    return _total(guest.run(script, timeout=limit + 60).text)


def _total(text: str) -> int:
    found = re.search(r"^MemTotal:\s+(\d{1,15}) kB$", text, re.MULTILINE)
    if found is None:
        raise printed.unreadable("the guest's amount of memory")
    return int(found[1]) * 1024
