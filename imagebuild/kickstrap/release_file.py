"""What a Release file says: when an archive was last updated, and which packages it has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from email.utils import parsedate_to_datetime

from imagebuild import fingerprint

_DATE = re.compile(r"^Date: *(.+)$", re.MULTILINE)
_CODENAME = re.compile(r"^Codename: *(\S+)", re.MULTILINE)
_INDEX = re.compile(r"^ ([0-9a-f]{64}) +\d+ (\S+)/binary-([^\s/]+)/(Packages(?:\.\w+)?)$", re.MULTILINE)


def offered(releases: Iterable[str], components: Sequence[str], arch: str) -> str:
    """A name for the packages of these Release files: a digest of their package indexes' digests. It is
    the same on every day until a package changes; empty if one of them names no index.
    """
    found: set[str] = set()
    for text in releases:
        codename = _CODENAME.search(text)
        indexes = {
            f"{codename[1] if codename else ''} {component} {name} {digest}"
            for digest, component, built_for, name in _INDEX.findall(text)
            if built_for == arch and component.rpartition("/")[2] in components
        }
        if not indexes:
            return ""
        found |= indexes
    return fingerprint.text("\n".join(sorted(found)))


def parsed(release: str) -> int:
    """The date in a Release file. Raises ValueError if there is none."""
    match = _DATE.search(release)
    if match is None:
        raise ValueError("the Release file has no date")
    when = int(parsedate_to_datetime(match[1].strip()).timestamp())
    if when <= 0:
        raise ValueError("the Release file has an impossible date")
    return when
