"""The guest can be used on its serial console.

The kernel's command line names a serial console, and a getty runs on it: a unit of systemd, or a
process whose terminal it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from imagebuild.verify import printed
from imagebuild.verify.check import NoCheckParams, Printed

Params = NoCheckParams
PROBES = {
    "cmdline": "cat /proc/cmdline",
    "gettys": (
        "systemctl list-units --type=service --state=active --no-legend --no-pager 2>/dev/null | grep '[g]etty@'; "
        # The brackets keep this very script from matching.
        "for f in $(grep -ls '[g]etty' /proc/[0-9]*/cmdline); do "
        'echo "process $(readlink "${f%cmdline}fd/0") $(tr "\\000" " " <"$f")"; done; echo "(end)"'
    ),
}
_SERIAL = r"ttyS\d+|ttyAMA\d+|ttysclp\d+|hvc\d+"


def judge(seen: Mapping[str, Printed], _params: NoCheckParams) -> Iterator[str]:
    cmdline = printed.text(seen, "cmdline", "the kernel's command line")
    consoles = list(dict.fromkeys(re.findall(rf"(?:^|\s)console=({_SERIAL})(?=[,\s]|$)", cmdline)))
    if not consoles:
        yield "the kernel's command line names no serial console, such as console=ttyS0"
        return
    lines = printed.lines(seen, "gettys", "the list of gettys")
    if lines[-1] != "(end)":
        raise printed.unreadable("the list of gettys")
    used = {terminal for line in lines for terminal in re.findall(rf"(?:getty@|/dev/|\s)({_SERIAL})(?=[.,\s]|$)", line)}
    for console in consoles:
        if console not in used:
            yield f"no getty runs on the serial console {console}"
