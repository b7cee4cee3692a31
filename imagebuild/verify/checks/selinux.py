"""SELinux is in the expected mode.

``disabled`` is also the mode of a kernel without SELinux, and of one that has it but was given no
policy, as RHEL 9 with ``SELINUX=disabled`` in its configuration. Reads ``/sys/fs/selinux/enforce``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field

from imagebuild.verify import check, printed
from imagebuild.verify.check import Printed

PROBES = {
    "selinux": (
        "for f in /sys/fs/selinux/enforce /selinux/enforce; do "
        '[ -r "$f" ] || continue; echo "enforce $(cat "$f")"; '
        'echo "context $(tr -d "\\000" </proc/1/attr/current)"; exit 0; '
        "done; [ -r /proc/filesystems ] && echo 'enforce none'"
    )
}
_MODES = {"0": "permissive", "1": "enforcing", "none": "disabled"}


class Params(check.Params):
    mode: Literal["disabled", "permissive", "enforcing"] = Field(
        default="disabled", description="the expected mode: disabled, permissive or enforcing"
    )


def judge(seen: Mapping[str, Printed], params: Params) -> Iterator[str]:
    found = dict(
        line.strip().split(" ", 1)
        for line in printed.lines(seen, "selinux", "the mode of SELinux")
        if " " in line.strip()
    )
    mode = _MODES.get(found.get("enforce", ""))
    if mode is None:
        raise printed.unreadable("the mode of SELinux")
    # The label of every process as long as no policy is loaded.
    if found.get("context") == "kernel":
        mode = "disabled"
    if mode != params.mode:
        yield f"SELinux is {mode}, not {params.mode}"
