"""A script whose failure goes unseen: %pre, %pre-install or %post without `--erroronfail`.

The installer goes on after a script that failed, and the image is made without what the script was to do. Write
`--erroronfail`, and begin the script with `set -e`, since a shell ends with the status of its last command; or silence the
rule where a failure does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parse import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "warning"
_SCRIPTS = ("%pre", "%pre-install", "%post")


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Every script with something in it and without the option."""
    for section in kickstart.sections:
        if (
            section.name in _SCRIPTS
            and not section.has("--erroronfail")
            and any(line.strip() for _, line in section.body)
        ):
            message = f"{section.name} without --erroronfail: its failure would go unseen"
            yield Said(section.line, message, f"write {section.name} --erroronfail, and set -e in the script")
