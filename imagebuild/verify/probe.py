"""One shell script for the probes of many checks, and its output taken apart again. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from imagebuild.verify.check import Printed

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SECONDS = 60
"""After which a command that does not end is ended, where the guest has timeout(1)."""


def script(probes: Mapping[str, str], mark: str) -> str:
    """A POSIX shell script that runs each command in its own shell and frames its output with
    ``mark``, which no guest can guess.
    """
    lines = [f"export PATH={_PATH} LC_ALL=C LANG=C PAGER=cat SYSTEMD_COLORS=0 SYSTEMD_PAGER=cat", "cd /", "limit="]
    lines.append(f"timeout {_SECONDS} true 2>/dev/null && limit='timeout {_SECONDS}'")
    for number, command in enumerate(probes.values()):
        lines.append(f"echo '{mark} begin {number}'; $limit sh -c {shlex.quote(command)} </dev/null 2>&1")
        lines.append(f's=$?; echo; echo "{mark} end {number} $s"')
    return "\n".join(lines) + "\n"


def outputs(probes: Mapping[str, str], mark: str, printed: str) -> dict[str, Printed]:
    """The output of each command in what the script printed; those that did not end are missing."""
    found = {}
    pattern = re.compile(
        rf"^{re.escape(mark)} begin (\d{{1,6}})\n(.*?)\n{re.escape(mark)} end \1 (\d{{1,6}})$", re.MULTILINE | re.DOTALL
    )
    names = tuple(probes)
    for match in pattern.finditer(printed.replace("\r\n", "\n")):
        if int(match[1]) < len(names):  # a guest may print anything
            found[names[int(match[1])]] = Printed(match[2].removesuffix("\n"), int(match[3]))
    return found
