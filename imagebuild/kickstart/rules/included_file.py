"""Another file is included, which is not checked.

Files for `%include` and `%ksappend` exist only when the installer runs, so they cannot be checked.
In a recipe, put the text into a template and include it with Jinja2, `{% include "part.ks.j2" %}`:
then all of it is checked.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parse import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "warning"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Every line that includes another file."""
    for line, text in kickstart.includes():
        yield Said(line, f"{text.split()[0]}: the included file is not checked")
