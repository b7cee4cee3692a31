"""The machine does not switch itself off at the end.

A build waits for the machine to be off. `reboot` starts the guest, which then has a past of its own before it is a template;
`halt`, and a kickstart that says nothing, wait for a key that nobody presses. Write `poweroff` or `shutdown`.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parse import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "error"
_OFF = ("poweroff", "shutdown")
_HINT = "write poweroff"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """`reboot` and `halt`, or nothing of the kind."""
    for command in kickstart.named("reboot"):
        yield Said(command.line, "reboot starts the guest where power-off is needed", _HINT)
    for command in kickstart.named("halt"):
        yield Said(command.line, "halt waits for a key where power-off is needed", _HINT)
    if not any(kickstart.named("reboot", "halt", *_OFF)) and not any(kickstart.includes()):
        yield Said(None, "nothing says what comes after the installation: the installer would wait for a key", _HINT)
