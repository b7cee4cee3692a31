"""Which version of the syntax a kickstart file says that it is written for, and the versions that
pykickstart has.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pykickstart.errors import KickstartVersionError
from pykickstart.version import stringToVersion, versionMap, versionToString

from imagebuild.errors import UsageError
from imagebuild.kickstart.divide import SECTIONS, first_word
from imagebuild.kickstart.parsed import Said
from imagebuild.schema.similar import did_you_mean

NEWEST = "DEVEL"
"""pykickstart's name for the newest syntax that it knows."""
_OWN = re.compile(r"\s*#\s*version\s*=\s*(.*?)\s*$", re.IGNORECASE)
_LIST = "`imagebuild lint --list-syntaxes` lists them"


class OwnSyntax(NamedTuple):
    """The syntax to parse a kickstart with, and what is wrong with the line that names it."""

    version: str
    problem: Said | None = None


def known(name: str) -> str | None:
    """``name`` as pykickstart spells it, such as ``RHEL9`` for ``rhel9`` or for ``Red Hat Enterprise
    Linux 9``; None if it has no such syntax.
    """
    if name.upper() in versionMap:
        return name.upper()
    try:
        return str(versionToString(stringToVersion(name), skipDevel=True))
    except KickstartVersionError:
        return None


def chosen(name: str) -> str:
    """``known`` for a name that a user has given. Raises UsageError for an unknown one."""
    found = known(name)
    if found is None:
        raise UsageError(f"unknown kickstart syntax: {name!r}", did_you_mean(name.upper(), versionMap) or _LIST)
    return found


def own(text: str) -> OwnSyntax:
    """What the first line ``#version=RHEL9`` before all sections says; without one, the newest."""
    for number, line in enumerate(text.splitlines() if "version" in text.lower() else (), 1):
        if first_word(line) in SECTIONS:
            break
        match = _OWN.match(line)
        if match:
            return _named(match[1], number)
    return OwnSyntax(NEWEST)


def _named(name: str, number: int) -> OwnSyntax:
    found = known(name)
    if found is not None:
        return OwnSyntax(found)
    message = f"unknown kickstart syntax {name!r}: the newest, {described(NEWEST)}, is used"
    return OwnSyntax(NEWEST, Said(number, message, did_you_mean(name.upper(), versionMap) or _LIST))


def described(version: str) -> str:
    """A version's name; for DEVEL also the release that it currently is."""
    return f"{version} ({versionToString(versionMap[version], skipDevel=True)})" if version == NEWEST else version


def every() -> list[str]:
    """The names of all versions, the oldest of each family first, DEVEL last."""

    def place(name: str) -> tuple[bool, bool, int]:
        return name == NEWEST, name.startswith("RHEL"), versionMap[name]

    return sorted(versionMap, key=place)
