"""The last %post is not the success section.

That the machine powers off proves nothing: Anaconda also powers off after a failed %post. The proof
of success is this build's marker on the console, which the last section prints after all others
have succeeded; without it, a build fails near its end. End the template with
`{{ imagebuild.success(nonce) }}` (`{% import "macros.ks.j2" as imagebuild %}`). The rule applies
only to the kickstarts of recipes: only a build has a marker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parsed import Kickstart, KickstartSection, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "error"
_MARKER = re.compile(r"\bimagebuild success (\S+) (\S+)")
_HINT = 'end the template with {{ imagebuild.success(nonce) }} from "macros.ks.j2"'


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """The last %post, or the whole file if there is none."""
    if target.nonce is None:
        return
    last = next((one for one in reversed(kickstart.sections) if one.name == "%post"), None)
    if last is None:
        yield Said(None, "there is no %post that reports the success of the installation", _HINT)
    elif not any(match[1] + match[2] == target.nonce for match in _markers(last)):
        yield Said(last.line, "the last %post does not report the success of the installation", _HINT)
    elif not last.has("--erroronfail"):
        yield Said(last.line, "the %post that reports success lacks --erroronfail", _HINT)


def _markers(section: KickstartSection) -> Iterator[re.Match[str]]:
    return (match for _, line in section.body for match in _MARKER.finditer(line))
