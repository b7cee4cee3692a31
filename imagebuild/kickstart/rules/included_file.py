"""Another file is included, which is not read here.

What `%include` and `%ksappend` bring is there only when the installer runs, so nothing can be said about it. In a recipe put the
text into a template and include that with Jinja2, `{% include "part.ks.j2" %}`: then all of it is checked.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parse import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "warning"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Every such line."""
    for line, text in kickstart.includes():
        yield Said(line, f"{text.split()[0]}: what it includes is not checked")
