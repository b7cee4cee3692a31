"""A command or an option is deprecated, according to pykickstart.

It no longer has any effect, or a later release refuses it. Follow the message.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parsed import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "warning"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """pykickstart's warnings about deprecated commands and options."""
    return iter(kickstart.deprecated)
