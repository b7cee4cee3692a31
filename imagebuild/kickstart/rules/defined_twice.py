"""Something that is defined twice: a mount point, a user, a network device, a repository.

pykickstart warns of it, and the installer takes the last one or both. Keep one of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parse import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "warning"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """pykickstart's warnings of that kind."""
    return iter(kickstart.repeated)
