"""Huge pages are set as expected.

Transparent huge pages as in ``/sys/kernel/mm/transparent_hugepage/enabled``, and the number of
reserved huge pages of the default size as in ``/proc/meminfo``. What is not given is not checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field

from imagebuild.printable import counted
from imagebuild.verify import check, printed
from imagebuild.verify.check import NothingToCheck, Printed

PROBES = {
    "transparent": (
        "f=/sys/kernel/mm/transparent_hugepage/enabled; "
        "if [ -e $f ]; then cat $f; elif [ -d /sys/kernel ]; then echo '[none]'; fi"
    ),
    "memory": "cat /proc/meminfo",
}


class Params(check.Params):
    transparent: Literal["always", "madvise", "never"] | None = Field(
        default=None, description="the setting of transparent huge pages: always, madvise or never"
    )
    reserved: int | None = Field(default=None, ge=0, description="number of reserved huge pages")


def judge(seen: Mapping[str, Printed], params: Params) -> Iterator[str]:
    if params.transparent is None and params.reserved is None:
        raise NothingToCheck("no setting is given")
    if params.transparent is not None:
        text = printed.text(seen, "transparent", "the setting of transparent huge pages")
        current = re.search(r"\[(always|madvise|never|none)\]", text)
        if current is None:
            raise printed.unreadable("the setting of transparent huge pages")
        # A kernel without transparent huge pages never uses them.
        if current[1] != params.transparent and (current[1], params.transparent) != ("none", "never"):
            if current[1] == "none":
                yield f"this kernel has no transparent huge pages, which should be set to {params.transparent}"
            else:
                yield f"transparent huge pages are set to {current[1]}, not {params.transparent}"
    if params.reserved is not None:
        text = printed.text(seen, "memory", "/proc/meminfo")
        total = re.search(r"^HugePages_Total:\s+(\d{1,12})$", text, re.MULTILINE)
        if total is None and "MemTotal:" not in text:
            raise printed.unreadable("/proc/meminfo")
        number = int(total[1]) if total else 0
        if number != params.reserved:
            yield f"{counted(number, 'huge page')} {'is' if number == 1 else 'are'} reserved, not {params.reserved}"
