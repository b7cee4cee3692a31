"""When a Debian mirror was last updated and what it offers, from its Release files: the same mirror
gives the same answer on every day, unlike the clock.

Only a time and names of states come from here, and the signature of the files is not looked at: apt
verifies what is installed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from imagebuild import fetch
from imagebuild.errors import ImageBuildError
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.kickstrap.release_file import offered, parsed
from imagebuild.log import logger


@dataclass(frozen=True)
class MirrorState:
    """``epoch`` is the newest date of a mirror's Release files, in seconds since 1970; ``releases`` are
    their texts.
    """

    epoch: int
    releases: tuple[str, ...]

    def offered(self, components: Sequence[str], arch: str) -> str:
        """The name of what it offers, as ``release_file.offered``. ``arch`` is Debian's name."""
        return offered(self.releases, components, arch)


def look(mirror: Mirror, suite: str) -> MirrorState | None:
    """The state of the archives for ``suite``; None if one of them has no date, cannot be reached, or
    is not one of http or https.
    """
    texts = []
    for uri, name in mirror.archives(suite):
        try:
            if not uri.startswith(("http://", "https://")):
                return None
            texts.append(fetch.text(f"{uri}/dists/{name}/InRelease").decode("utf-8", "replace"))
            parsed(texts[-1])
        except (ImageBuildError, ValueError) as error:
            logger.debug("the date of %s is not known: %s", name, error)
            return None
    # a date to come would not be the newest one of any file
    return MirrorState(min(max(map(parsed, texts)), int(time.time())), tuple(texts)) if texts else None


def newest(mirror: Mirror, suite: str) -> int | None:
    """The newest date of the archives for ``suite``, in seconds since 1970; None as for ``look``."""
    state = look(mirror, suite)
    return state.epoch if state else None
