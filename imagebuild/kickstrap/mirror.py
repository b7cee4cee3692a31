"""Determines this host's Debian mirror, and the keys that verify its packages.

The mirror comes from apt's own configuration, so that a build uses the one (a local or private
mirror, a snapshot) that the host's administrator chose.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from imagebuild.errors import CommandFailed, HostError
from imagebuild.host.process import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_FORMAT = "$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(CODENAME)|$(REPO_URI)"
_SCHEMES = re.compile(r"(https?|ftp|file):/")
_ROLLING = frozenset({"sid", "unstable", "experimental", "rc-buggy"})
"""Suites without corresponding updates and security suites."""


@dataclass(frozen=True)
class Mirror:
    """A Debian mirror; ``Mirror()`` leaves the choice to mmdebstrap.

    ``main`` and ``security`` are the URIs of the archives, without a slash at the end;
    ``updates`` says whether ``main`` is known to carry the suite ``<release>-updates``. A mirror that
    is ``dated`` has the state of an earlier day, so its Release files have expired; their signatures
    are checked all the same.
    """

    main: str | None = None
    security: str | None = None
    updates: bool = False
    dated: bool = False

    def sources(self, suite: str, components: Sequence[str]) -> str | None:
        """The deb822 text of ``debian.sources`` for a guest of ``suite``; None without a mirror."""
        archives: dict[str, list[str]] = {}
        for uri, name in self.archives(suite):
            archives.setdefault(uri, []).append(name)
        return "\n".join(_stanza(uri, names, components) for uri, names in archives.items()) or None

    def archives(self, suite: str) -> list[tuple[str, str]]:
        """The archives for a guest of ``suite``: URI and suite of each. Empty without a mirror."""
        if self.main is None:
            return []
        found = [(self.main, suite)]
        if suite not in _ROLLING:
            found += [(self.main, f"{suite}-updates")] if self.updates else []
            found += [(self.security, f"{suite}-security")] if self.security else []
        return found


def _stanza(uri: str, suites: Sequence[str], components: Sequence[str]) -> str:
    return (
        f"Types: deb\nURIs: {uri}\nSuites: {' '.join(suites)}\n"
        f"Components: {' '.join(components)}\nSigned-By: {_KEYRING}\n"
    )


def parse_targets(lines: Iterable[str]) -> Mirror:
    """The mirror in the lines of ``apt-get indextargets`` in the format ``_FORMAT``.

    Archives of other vendors, including Ubuntu, are ignored: they do not contain Debian.
    """
    main = security = None
    updates = False
    for line in lines:
        kind, origin, label, codename, uri = [*line.split("|"), "", "", "", ""][:5]
        uri = uri.rstrip("/")
        if kind != "Packages" or origin != "Debian" or not _SCHEMES.match(uri):
            continue
        if label == "Debian-Security":
            security = security or uri
        elif label == "Debian" and not codename.endswith(("-backports", "-backports-sloppy", "-proposed-updates")):
            if not codename.endswith("-updates"):
                main = main or uri
            elif main in (None, uri):
                updates = True
    return Mirror(main, security, updates and main is not None) if main else Mirror()


@cache
def host_mirror() -> Mirror:
    """The mirror that this host's apt uses for Debian; ``Mirror()`` if there is none. apt is run
    only once.
    """
    try:
        completed = run(["apt-get", "indextargets", "--format", _FORMAT], timeout=60)
    except (HostError, CommandFailed):
        return Mirror()  # no apt, or one without a usable configuration: mmdebstrap knows a default
    return parse_targets(completed.stdout.splitlines())


def mirror_depends_on() -> list[Path]:
    """The files that determine apt's answer: its configuration, and its data about each archive."""
    configuration = [path for path in Path("/etc/apt").rglob("*") if path.suffix != ".gpg"]
    return [*configuration, *Path("/var/lib/apt/lists").glob("*Release")]


def keyring() -> Path:
    """The keyring of Debian's archives.

    Raises HostError if it is not installed.
    """
    if not _KEYRING.is_file():
        raise HostError(
            f"the keyring of Debian's archives is missing: {_KEYRING}",
            "install the package debian-archive-keyring, or run `make setup`",
        )
    return _KEYRING
