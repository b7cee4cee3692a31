"""The failure of a script goes unnoticed: %pre, %pre-install or %post without `--erroronfail`.

The installer continues after a failed script, and the image lacks what the script should have done.
Write `--erroronfail`, and start the script with `set -e`, because a shell exits with the status of
its last command; or suppress the rule if a failure does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parsed import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "warning"
_SCRIPTS = ("%pre", "%pre-install", "%post")


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Every script that is not empty and lacks the option."""
    for section in kickstart.sections:
        if (
            section.name in _SCRIPTS
            and not section.has("--erroronfail")
            and any(line.strip() for _, line in section.body)
        ):
            message = f"{section.name} without --erroronfail: its failure would go unnoticed"
            yield Said(section.line, message, f"write {section.name} --erroronfail, and set -e in the script")
