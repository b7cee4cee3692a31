"""A form feed or another unusual character ends a line, so that the rest is a command of its own.

pykickstart splits lines also at U+000B, U+000C, U+001C to U+001E, U+0085, U+2028 and U+2029, which
editors show inside a line. What follows such a character in a comment is carried out by the
installer. Replace it with a space, or with a line feed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from imagebuild.errors import Severity
from imagebuild.kickstart.divide import SCRIPTS
from imagebuild.kickstart.parsed import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "warning"
_UNUSUAL = "\v\f\x1c\x1d\x1e\x85\u2028\u2029"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Every line outside scripts that an unusual character divides into two with text."""
    if kickstart.text.isascii() and not any(one in kickstart.text for one in _UNUSUAL[:5]):
        return
    in_scripts = {line for one in kickstart.sections if one.name in SCRIPTS for line, _ in one.body}
    lines = kickstart.text.splitlines(keepends=True)
    for number, (line, following) in enumerate(pairwise(lines), 1):
        rest = following.strip()
        if line[-1] in _UNUSUAL and rest and not rest.startswith("#") and number not in in_scripts:
            message = f"U+{ord(line[-1]):04X} ends the line: the installer reads the rest as a line of its own"
            yield Said(number, message, "replace the character with a space, or with a line feed")
