"""When a Debian mirror was last updated, from its Release files: the same mirror gives the same date
on every day, unlike the clock.

Only a time comes from here, and the signature of the file is not looked at: apt verifies what is
installed.
"""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime

from imagebuild import fetch
from imagebuild.errors import ImageBuildError
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.log import logger

_DATE = re.compile(r"^Date: *(.+)$", re.MULTILINE)


def newest(mirror: Mirror, suite: str) -> int | None:
    """The newest date of the archives for ``suite``, in seconds since 1970; None if one of them has
    none, cannot be reached, or is not one of http or https.
    """
    found = []
    for uri, name in mirror.archives(suite):
        try:
            if not uri.startswith(("http://", "https://")):
                return None
            found.append(parsed(fetch.text(f"{uri}/dists/{name}/InRelease").decode("utf-8", "replace")))
        except (ImageBuildError, ValueError) as error:
            logger.debug("the date of %s is not known: %s", name, error)
            return None
    # a date to come would not be the newest one of any file
    return min(max(found), int(time.time())) if found else None


def parsed(release: str) -> int:
    """The date in a Release file. Raises ValueError if there is none."""
    match = _DATE.search(release)
    if match is None:
        raise ValueError("the Release file has no date")
    when = int(parsedate_to_datetime(match[1].strip()).timestamp())
    if when <= 0:
        raise ValueError("the Release file has an impossible date")
    return when
