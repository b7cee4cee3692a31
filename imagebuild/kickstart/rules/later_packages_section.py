"""A later %packages section resets options of an earlier one.

The packages of several sections are added up, but of the options only `--default` and
`--inst-langs` are kept: a later section without the others switches them off again
(pykickstart 3.78; each option is recorded in `tests/kickstart/data/pykickstart.json`). An included
file with a %packages section of its own has the same effect. Repeat the options in the last section,
or write one section.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parsed import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "warning"
KEPT = ("--default", "--inst-langs", "--instLangs")
"""The options that a later section keeps."""


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """The last section, if an earlier one has options that it lacks."""
    sections = [one for one in kickstart.sections if one.name == "%packages"]
    if len(sections) < 2:
        return
    *earlier, last = sections
    given = {name for one in earlier for name in one.given.values} - set(last.given.values)
    options = [
        next(option for option, action in last.given.known.items() if action.dest == name)
        for name in sorted(given)
        if name in {action.dest for option, action in last.given.known.items() if option not in KEPT}
    ]
    if options:
        message = f"this %packages section switches off {', '.join(options)} of an earlier one"
        yield Said(last.line, message, f"write %packages {' '.join(options)}, with the same values")
