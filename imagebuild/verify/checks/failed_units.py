"""No unit of systemd has failed.

A guest that has just started says ``running``: every unit that it wants is started. One with failed
units says ``degraded``. A guest that is still starting after 40 seconds cannot be judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field

from imagebuild.verify import check, printed
from imagebuild.verify.check import NotCheckable, NothingToCheck, Printed

PROBES = {
    "init": "if [ -d /run/systemd/system ]; then echo systemd; else echo other; fi",
    # A guest that can be used may still be starting units that nobody waits for.
    "state": (
        "i=0; while s=$(systemctl is-system-running); "
        "case $s in starting|initializing) [ $i -lt 40 ];; *) false;; esac; "
        'do i=$((i + 1)); sleep 1; done; echo "$s"'
    ),
    "failed": "systemctl list-units --state=failed --all --no-legend --no-pager",
}
_STARTING = ("starting", "initializing")
_WORKING = ("running", "degraded")


FOLLOWS = {
    "network-interface": r"(?:network|networking|ifup@\S+|NetworkManager-wait-online"
    r"|systemd-networkd-wait-online(?:@\S+)?|wicked|dhcpcd)\.service has failed"
}


class Params(check.Params):
    ignore: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9:_.\\@*?-]+$")], ...] = Field(
        default=(), description="units that may have failed: names such as kdump.service, or patterns such as `*.mount`"
    )


def judge(seen: Mapping[str, Printed], params: Params) -> Iterator[str]:
    if printed.text(seen, "init", "the init system").strip() != "systemd":
        raise NothingToCheck("the guest does not run systemd")
    state = printed.output(seen, "state").text.strip()
    listed = printed.output(seen, "failed")
    failed = [_unit(line) for line in listed.lines]
    if listed.status != 0 or any("." not in unit for unit in failed) or (state == "degraded" and not failed):
        raise printed.unreadable("the list of failed units")
    counted = [unit for unit in failed if not any(fnmatchcase(unit, pattern) for pattern in params.ignore)]
    if not counted and state in _STARTING:
        raise NotCheckable("the guest is still starting")
    for unit in counted:
        yield f"{unit} has failed"
    if state == "maintenance":
        yield "the guest is in rescue or emergency mode"
    elif not counted and state not in _WORKING:
        raise printed.unreadable("the state of the system")


def _unit(line: str) -> str:
    """The name in a line of systemctl, which may begin with a mark."""
    words = line.split()
    return words[1] if len(words) > 1 and words[0] in ("●", "*", "×") else words[0]
