"""The disks use the expected I/O scheduler.

Looks at all whole disks (``vd*``, ``sd*``, ``nvme*``); CD drives do not count. ``none`` and ``noop`` are the
same: old kernels have one, new ones the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pydantic import Field

from imagebuild.verify import check, printed
from imagebuild.verify.check import Printed

PROBES = {
    "schedulers": (
        'for f in /sys/block/*/queue/scheduler; do [ -r "$f" ] || continue; '
        'd=${f#/sys/block/}; echo "${d%%/*} $(cat "$f")"; done'
    )
}


class Params(check.Params):
    scheduler: str = Field(default="none", pattern=r"^[a-z][a-z0-9-]*$", description="name of the scheduler")


def judge(seen: Mapping[str, Printed], params: Params) -> Iterator[str]:
    disks = {}
    for line in printed.lines(seen, "schedulers", "the list of I/O schedulers"):
        name, _, choices = line.partition(" ")
        if re.fullmatch(r"(vd|sd|xvd)[a-z]+|nvme[0-9]+n[0-9]+", name):
            chosen = re.search(r"\[([a-z0-9_-]+)\]", choices) or re.fullmatch(r"\s*([a-z0-9_-]+)\s*", choices)
            if chosen is None:
                raise printed.unreadable(f"the I/O scheduler of {name}")
            disks[name] = chosen[1]
    if not disks:
        raise printed.unreadable("the list of I/O schedulers")
    for name, current in sorted(disks.items()):
        if _same_name(current) != _same_name(params.scheduler):
            yield f"the I/O scheduler of {name} is {current}, not {params.scheduler}"


def _same_name(scheduler: str) -> str:
    return "none" if scheduler == "noop" else scheduler
