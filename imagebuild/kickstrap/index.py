"""Queries what a Debian mirror offers now: whether it has changed, and which packages of a root
archive are newer.

Nothing is verified here: mmdebstrap verifies what is built. The format of the index is that of
Debian's repositories (https://wiki.debian.org/DebianRepository/Format).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from imagebuild import fetch
from imagebuild.errors import HostError
from imagebuild.host.process import run
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.kickstrap.payload import ARCHITECTURES, PayloadSpec

_BLOCK = 1 << 20
"""Characters of an index that are looked at together."""


def offered(spec: PayloadSpec) -> dict[str, str]:
    """The digest of each package index, by suite and component; raises like :func:`newer`.

    It is the digest of the index, not of Release, which also changes with its signature's date.
    """
    found = {}
    for folder in folders(spec.mirror, spec.suite, spec.components, spec.arch):
        name = folder.partition("/dists/")[2].rpartition("/")[0]
        digest = hashlib.sha256()
        for block in _index(folder):
            digest.update(block.encode())
        found[name] = digest.hexdigest()
    return found


def newer(spec: PayloadSpec, there: Mapping[str, str]) -> dict[str, str]:
    """The packages of ``there`` (name to version) that the mirror has in a later version, with that
    version.

    Raises HostError if the mirror is unknown or unreachable, and ImageBuildError for an invalid
    index.
    """
    found: dict[str, str] = {}
    for folder in folders(spec.mirror, spec.suite, spec.components, spec.arch):
        for name, version in _versions(_index(folder), there):
            if version != there[name] and _is_later(version, found.get(name, there[name])):
                found[name] = version
    return dict(sorted(found.items()))


def offered_versions(spec: PayloadSpec, wanted: Mapping[str, str]) -> dict[str, set[str]]:
    """All versions in which the mirror has the packages of ``wanted``; raises like :func:`newer`."""
    found: dict[str, set[str]] = {}
    for folder in folders(spec.mirror, spec.suite, spec.components, spec.arch):
        for name, version in _versions(_index(folder), wanted):
            found.setdefault(name, set()).add(version)
    return found


def names(folder: str, limits: fetch.Limits) -> set[str]:
    """The names of all packages in the index of ``folder``, and what they provide. Raises like
    :func:`newer`, and NotThere for a component that the mirror does not have.
    """
    found: set[str] = set()
    for block in _index(folder, limits):
        found.update(re.findall(r"^Package: (\S+)", block, re.MULTILINE))
        for provided in re.findall(r"^Provides: (.*)", block, re.MULTILINE):
            found.update(one.partition("(")[0].partition(":")[0].strip() for one in provided.split(","))
    return found


def folders(mirror: Mirror, suite: str, components: Sequence[str], arch: str) -> Iterator[str]:
    """The folders with the indexes of packages, for each archive of the mirror and each component.

    Raises HostError if the mirror is unknown, or is not one of http or https.
    """
    if mirror.main is None or not mirror.main.startswith(("http://", "https://")):
        raise HostError(
            f"cannot query the mirror {mirror.main or 'that mmdebstrap chooses'}",
            "set one with http or https: installer.mirror in the recipe, or in this host's apt configuration",
        )
    for uri, name in mirror.archives(suite):
        for component in components:
            yield f"{uri}/dists/{name}/{component}/binary-{ARCHITECTURES[arch]}"


def _index(folder: str, limits: fetch.Limits = fetch.LOOK) -> Iterator[str]:
    """The package index in ``folder``, in blocks of whole lines: the text of all of Debian has 50 MB.
    Debian provides it as xz, many private repositories only as gzip.
    """
    try:
        with io.TextIOWrapper(_fetched(folder, limits), encoding="utf-8", newline="\n") as lines:
            while block := lines.read(_BLOCK):
                yield block + lines.readline()
    except (lzma.LZMAError, gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise HostError(
            "the mirror's package index is damaged", "the mirror may be in the middle of an update"
        ) from error


def _fetched(folder: str, limits: fetch.Limits) -> lzma.LZMAFile | gzip.GzipFile:
    try:
        return lzma.LZMAFile(io.BytesIO(fetch.text(f"{folder}/Packages.xz", limits)))
    except fetch.NotThere:
        return gzip.GzipFile(fileobj=io.BytesIO(fetch.text(f"{folder}/Packages.gz", limits)))


def _versions(blocks: Iterable[str], wanted: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The name and version of each of the ``wanted`` packages in an index."""
    name = ""
    for block in blocks:
        for line in block.splitlines():
            if line.startswith("Package: "):
                name = line.removeprefix("Package: ")
            elif line.startswith("Version: ") and name in wanted:
                yield name, line.removeprefix("Version: ")


def _is_later(version: str, than: str) -> bool:
    """Compare versions with dpkg, which is run only if two versions differ."""
    return run(["dpkg", "--compare-versions", version, "gt", than], timeout=30, check=False).returncode == 0
