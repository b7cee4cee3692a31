"""The guest has a certain host name.

Reads the kernel's own name. Without ``name`` there is nothing to check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import Field

from imagebuild.verify import check, printed
from imagebuild.verify.check import NothingToCheck, Printed

PROBES = {"name": "cat /proc/sys/kernel/hostname"}


class Params(check.Params):
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$", description="the host name")


def judge(seen: Mapping[str, Printed], params: Params) -> Iterator[str]:
    if params.name is None:
        raise NothingToCheck("no name is given")
    found = printed.text(seen, "name", "the host name").strip()
    if found != params.name:
        yield f"the host name is {found!r}, not {params.name!r}"
