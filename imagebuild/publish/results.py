"""How the work on each target ended, and the exit code of all of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from imagebuild.errors import HostError

TargetStatus = Literal[
    "switched",
    "unchanged",
    "rolled back",
    "pruned",
    "read",
    "checked",
    "planned",
    "absent",
    "failed",
    "interrupted",
    "not started",
]
_GOOD = ("switched", "unchanged", "pruned", "read", "checked", "planned", "absent")


@dataclass(frozen=True, kw_only=True)
class TargetResult:
    """How the work on one target ended.

    ``version`` is current there now and ``previous`` was current before, as far as that is known;
    ``phase`` is where it failed (open, lock, read, send, check, switch, canary check, roll back).
    ``message`` says why, or what else is worth knowing. ``sent`` counts the bytes that crossed the
    network, ``exit_code`` is that of the error.
    """

    target: str
    status: TargetStatus
    version: str = ""
    previous: str = ""
    phase: str = ""
    message: str = ""
    hint: str = ""
    sent: int = 0
    seconds: float = 0.0
    exit_code: int = 0

    @property
    def good(self) -> bool:
        """Whether it went as wanted. A target that does not have the template is no failure."""
        return self.status in _GOOD


def absent(templates: Sequence[str]) -> str:
    """The message of a target that has none of these templates."""
    return f"no template {' or '.join(templates)}"


def exit_code(results: Sequence[TargetResult]) -> int:
    """0 if all went well; 3 if no target could be used at all; else 1. All absent is a failure too."""
    failed = [one for one in results if not one.good]
    if not failed:
        return 1 if results and all(one.status == "absent" for one in results) else 0
    nowhere = len(failed) == len(results) and all(one.exit_code == HostError.exit_code for one in failed)
    return HostError.exit_code if nowhere else 1
