"""A command or an option that pykickstart calls deprecated.

It does nothing any more, or a later release refuses it. Do what the message says.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parse import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "warning"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """pykickstart's warnings of that kind."""
    return iter(kickstart.deprecated)
