"""The machine does not power off at the end.

A build waits for the machine to power off. `reboot` starts the guest, which then has a history
before it becomes a template; `halt`, and a kickstart without any of these commands, wait for a key
that nobody presses. Write `poweroff` or `shutdown`.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parsed import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "error"
OPINION = True
_OFF = ("poweroff", "shutdown")
_HINT = "write poweroff"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """`reboot` and `halt`, and a kickstart without any such command."""
    for command in kickstart.named("reboot"):
        yield Said(command.line, "reboot starts the guest, but it must power off", _HINT)
    for command in kickstart.named("halt"):
        yield Said(command.line, "halt waits for a key, but the machine must power off", _HINT)
    if (kickstart.is_fragment and not target.of_recipe) or any(kickstart.includes()):
        return
    if not any(kickstart.named("reboot", "halt", *_OFF)):
        yield Said(None, "no poweroff: the installer would wait for a key after the installation", _HINT)
