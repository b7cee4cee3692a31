"""Queries what a Debian mirror offers now: whether it has changed, and which packages of a root
archive are newer.

Nothing is verified here: mmdebstrap verifies what is built. The format of the index is that of
Debian's repositories (https://wiki.debian.org/DebianRepository/Format).
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import zlib
from collections.abc import Iterator, Mapping

from imagebuild import fetch
from imagebuild.errors import HostError
from imagebuild.host.process import run
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.kickstrap.payload import ARCHITECTURES, PayloadSpec


def offered(spec: PayloadSpec) -> dict[str, str]:
    """The digest of each package index, by suite and component; raises like :func:`newer`.

    It is the digest of the index, not of Release, which also changes with its signature's date.
    """
    found = {}
    for folder in _folders(spec):
        name = folder.partition("/dists/")[2].rpartition("/")[0]
        found[name] = hashlib.sha256(_index(folder).encode()).hexdigest()
    return found


def newer(spec: PayloadSpec, there: Mapping[str, str]) -> dict[str, str]:
    """The packages of ``there`` (name to version) that the mirror has in a later version, with that
    version.

    Raises HostError if the mirror is unknown or unreachable, and ImageBuildError for an invalid
    index.
    """
    found: dict[str, str] = {}
    for folder in _folders(spec):
        for name, version in _versions(_index(folder), there):
            if version != there[name] and _is_later(version, found.get(name, there[name])):
                found[name] = version
    return dict(sorted(found.items()))


def _folders(spec: PayloadSpec) -> Iterator[str]:
    mirror: Mirror = spec.mirror
    if mirror.main is None or not mirror.main.startswith(("http://", "https://")):
        raise HostError(
            f"cannot query the mirror {mirror.main or 'that mmdebstrap chooses'}",
            "set one with http or https: installer.mirror in the recipe, or in this host's apt configuration",
        )
    for uri, suite in mirror.archives(spec.suite):
        for component in spec.components:
            yield f"{uri}/dists/{suite}/{component}/binary-{ARCHITECTURES[spec.arch]}"


def _index(folder: str) -> str:
    """The package index in ``folder``. Debian provides it as xz, many private repositories only as
    gzip.
    """
    try:
        try:
            return lzma.decompress(fetch.text(f"{folder}/Packages.xz")).decode()
        except fetch.NotThere:
            return gzip.decompress(fetch.text(f"{folder}/Packages.gz")).decode()
    except (lzma.LZMAError, gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise HostError(
            "the mirror's package index is damaged", "the mirror may be in the middle of an update"
        ) from error


def _versions(text: str, wanted: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The name and version of each of the ``wanted`` packages in an index."""
    name = ""
    for line in text.splitlines():
        if line.startswith("Package: "):
            name = line.removeprefix("Package: ")
        elif line.startswith("Version: ") and name in wanted:
            yield name, line.removeprefix("Version: ")


def _is_later(version: str, than: str) -> bool:
    """Compare versions with dpkg, which is run only if two versions differ."""
    return run(["dpkg", "--compare-versions", version, "gt", than], timeout=30, check=False).returncode == 0
