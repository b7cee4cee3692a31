"""Queries what Anaconda's repositories offer now: the digest of each one's ``repodata/repomd.xml``.

That file lists the digests of all metadata, so it changes with any package. A metalink contains its
digest, so that no mirror is queried. Nothing is verified here: the VM fetches what is installed.
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
    """The digest of each repository, by name; ``optional`` is left out if it is not a repository.

    ``variables`` are replaced in addresses, such as ``$basearch``. Raises HostError for an
    unreachable or invalid one.
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
    text = _read(place).decode("utf-8", "replace")
    if repository.metalink:
        # The first block is the current one; older versions follow as alternates, with their own blocks.
        now = text.partition('<file name="repomd.xml">')[2].partition("<verification>")[2]
        if digest := _SHA256.search(now.partition("</verification>")[0]):
            return digest[1]
        raise _no_repository(place, "metalink has no SHA-256 of repomd.xml")
    mirrors = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if mirrors:
        return _of_repomd(mirrors[0])
    raise _no_repository(place, "mirror list is empty")


def _of_repomd(place: str) -> str:
    return hashlib.sha256(_read(f"{place.rstrip('/')}/{REPOMD}")).hexdigest()


def _read(place: str) -> bytes:
    """The content at an address, or of a file of this host."""
    if not place.startswith("file://"):
        return fetch.text(place)
    path = Path(unquote(urlsplit(place).path))
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise fetch.NotThere(f"no such file: {path}") from error
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error


def _no_repository(place: str, why: str) -> HostError:
    return HostError(f"cannot query the repository {fetch.shown(place)}: the {why}", "check the address")
