"""The file has no commands: it is a part of a kickstart.

What such a file lacks is not reported, because the kickstart that includes it may have it. Lint that
kickstart after the files have been put together, as `ksflatten` does. The rule applies only to files
that belong to no recipe.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parsed import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "warning"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """A file without commands."""
    if kickstart.is_fragment and not target.of_recipe:
        yield Said(None, "there are no commands: only a part of a kickstart was checked")
