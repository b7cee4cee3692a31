"""What the repositories that Anaconda installs from offer now, for a look: the digest of each one's ``repodata/repomd.xml``.

That file names the digests of all metadata, so it changes with any package. A metalink tells its digest without a mirror being
asked. Nothing is proved here: the VM fetches what gets installed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from imagebuild import fetch
from imagebuild.errors import HostError
from imagebuild.kickstart.render import RepositoryValues

REPOMD = "repodata/repomd.xml"
_SHA256 = re.compile(r"<hash\s+type=\"sha256\">\s*([0-9a-f]{64})\s*<")


def offered(
    repositories: Iterable[RepositoryValues], variables: Mapping[str, str], optional: RepositoryValues | None = None
) -> dict[str, str]:
    """The digest for each repository, by its name; ``optional`` is left out where it is none.

    ``variables`` are those of addresses, such as ``$basearch``. Raises HostError for one that is out of reach, or none.
    """
    found = {}
    for one in repositories:
        try:
            found[one.name] = _digest(one, variables)
        except fetch.NotThere:
            if one != optional:
                raise
    return found


def _digest(repository: RepositoryValues, variables: Mapping[str, str]) -> str:
    place = repository.url or repository.metalink or repository.mirrorlist or ""
    for name, value in variables.items():
        place = place.replace(name, value)
    if repository.url:
        return _of_repomd(place)
    told = _read(place).decode("utf-8", "replace")
    if repository.metalink:
        # The first block is that of now; those of before follow as alternates, with blocks of their own.
        now = told.partition('<file name="repomd.xml">')[2].partition("<verification>")[2]
        if digest := _SHA256.search(now.partition("</verification>")[0]):
            return digest[1]
        raise _no_repository(place, "metalink tells no SHA-256 of repomd.xml")
    mirrors = [line.strip() for line in told.splitlines() if line.strip() and not line.startswith("#")]
    if mirrors:
        return _of_repomd(mirrors[0])
    raise _no_repository(place, "list of mirrors names none")


def _of_repomd(place: str) -> str:
    return hashlib.sha256(_read(f"{place.rstrip('/')}/{REPOMD}")).hexdigest()


def _read(place: str) -> bytes:
    """What is at an address, or in a file of this host."""
    if not place.startswith("file://"):
        return fetch.text(place)
    path = Path(unquote(urlsplit(place).path))
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise fetch.NotThere(f"there is no file {path}") from error
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror}") from error


def _no_repository(place: str, why: str) -> HostError:
    return HostError(f"what {fetch.shown(place)} offers cannot be looked up: the {why}", "is it the right address?")
