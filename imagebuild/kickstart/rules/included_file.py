"""Another file is included, which is not checked.

Files for `%include` and `%ksappend` exist only when the installer runs, so they cannot be checked
before; the installer refuses what is wrong with them. In a recipe, put the text into a template and
include it with Jinja2, `{% include "part.ks.j2" %}`: then all of it is checked. Inside a script,
too, pykickstart 3.78 carries out `%include` while it reads the kickstart: the script never sees the
line, and a file that an earlier script writes does not exist yet.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.divide import SCRIPTS
from imagebuild.kickstart.parsed import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "warning"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Every line that includes another file."""
    scripts = {line for one in kickstart.sections if one.name in SCRIPTS for line, _ in one.body}
    for line, text in kickstart.includes():
        word = text.split()[0]
        if word == "%include" and line in scripts:
            message = "%include in a script is carried out when the installer reads the kickstart, not by the script"
            yield Said(line, message, "to read a file when the script runs, use the shell's own `. FILE`")
        else:
            yield Said(line, f"{word}: the included file is not checked")
