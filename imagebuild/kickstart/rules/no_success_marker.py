"""The last %post is not the success section.

A machine that switches itself off has not proved anything: Anaconda does that after a %post that failed, too. The proof is this
build's marker on the console, printed by the last section, after all others have succeeded; without it a build fails when it is
nearly done. End the template with `{{ imagebuild.success(nonce) }}` (`{% import "macros.ks.j2" as imagebuild %}`). The rule is
for the kickstarts of recipes: only a build has a marker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parse import Kickstart, KickstartSection, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "error"
_MARKER = re.compile(r"\bimagebuild success (\S+) (\S+)")
_HINT = 'end the template with {{ imagebuild.success(nonce) }}, from "macros.ks.j2"'


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """The last %post, or the whole file where there is none."""
    if target.nonce is None:
        return
    last = next((one for one in reversed(kickstart.sections) if one.name == "%post"), None)
    if last is None:
        yield Said(None, "nothing proves that the installation succeeded", _HINT)
    elif not any(match[1] + match[2] == target.nonce for match in _markers(last)):
        yield Said(last.line, "the last %post does not prove that the installation succeeded", _HINT)
    elif not last.has("--erroronfail"):
        yield Said(last.line, "the %post that proves success lacks --erroronfail", _HINT)


def _markers(section: KickstartSection) -> Iterator[re.Match[str]]:
    return (match for _, line in section.body for match in _MARKER.finditer(line))
