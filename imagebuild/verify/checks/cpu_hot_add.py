"""CPUs that are added to the running guest come online.

Adds CPUs up to the domain's maximum, and waits until the guest uses them. There is nothing to check
if the domain starts with its maximum. A CPU that is added and stays offline is a failure: the guest
has no udev rule that brings it online, which the operation online-hot-added-cpus adds. Some kernels
see no CPUs that could be added where QEMU emulates the processor; this says nothing about KVM.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import Field

from imagebuild.verify import check, printed
from imagebuild.verify.check import NotCheckable, NothingToCheck, RunningGuest

_SCRIPT = """\
cd /sys/devices/system/cpu || exit 1
i=0
while [ $i -lt {limit} ]; do
    possible=$(cat possible)
    [ $((${{possible##*[,-]}} + 1)) -lt {count} ] && break
    [ "$(grep -c '^processor' /proc/cpuinfo)" -ge {count} ] && break
    i=$((i + 1))
    sleep 1
done
for f in possible present online; do echo "$f $(cat $f)"; done
"""


class Params(check.Params):
    limit: int = Field(default=30, gt=0, description="seconds within which the CPUs must be online")
    emulated: int = Field(default=120, gt=0, description="the same where the host has no KVM")


def act(guest: RunningGuest, params: Params) -> Iterator[str]:
    current, maximum = guest.vcpus
    if current >= maximum:
        raise NothingToCheck("the guest has all its CPUs from the start")
    guest.set_vcpus(maximum)
    limit = params.emulated if guest.emulated else params.limit
    seen = guest.run(_SCRIPT.format(limit=limit, count=maximum), timeout=limit + 60)
    found = dict(re.findall(r"^(possible|present|online) ([0-9,-]+)$", seen.text, re.MULTILINE))
    possible, present, online = (printed.numbers(found.get(name, "")) for name in ("possible", "present", "online"))
    if not online or not present or not possible:
        raise printed.unreadable("the guest's list of CPUs")
    if len(possible) < maximum:
        if guest.emulated:
            raise NotCheckable("this guest's kernel sees no hot-pluggable CPUs under emulation")
        yield f"the domain has room for {maximum} CPUs, and the guest's kernel only for {len(possible)}"
    elif len(present) < maximum:
        yield f"CPUs were added from {current} to {maximum}, and the guest sees only {len(present)}"
    elif offline := sorted(set(present) - set(online)):
        which = (
            f"CPU {offline[0]} was added and stays"
            if len(offline) == 1
            else f"CPUs {ranges(offline)} were added and stay"
        )
        them = "it" if len(offline) == 1 else "them"
        yield f"{which} offline: nothing in the guest brings {them} online; add the operation online-hot-added-cpus"


def ranges(numbers: list[int]) -> str:
    """Sorted numbers as the kernel writes them, such as ``1-2,5``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)
