"""There are several install sources, of which the installer uses one.

Not the last one counts: pykickstart 3.78 reports cdrom before harddrive, harddrive before nfs, nfs
before url, url before liveimg, and all of them before hmc, whatever their order in the kickstart
(recorded in `tests/kickstart/data/pykickstart.json`). Keep the one that is meant; further
repositories are added with `repo`.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parsed import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "warning"
ORDER = ("cdrom", "harddrive", "nfs", "url", "liveimg", "hmc")
"""The sources, the first of which is used."""


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Every source that is not used."""
    given = {command.name for command in kickstart.named(*ORDER)}
    if len(given) < 2:
        return
    used = next(name for name in ORDER if name in given)
    for command in kickstart.named(*ORDER):
        if command.name != used:
            message = f"{command.name} is not used: {used} takes precedence, whatever the order"
            yield Said(command.line, message, "keep one install source")
