"""A mount point, user, network device or repository is defined twice.

pykickstart warns about it, and the installer uses the last one or both. Keep one of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parse import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "warning"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """pykickstart's warnings about duplicates."""
    return iter(kickstart.repeated)
