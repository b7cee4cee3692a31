"""Which files of a guest belong to no package, and which of them are digested."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from imagebuild.contents.inventory import FileRecord, UnownedFile
from imagebuild.customise.contents.listing import Listing
from imagebuild.errors import GuestError

DIGEST = 'sha256sum -z -- "$@" | gzip -1'
_LARGEST_DIGESTED = 8 << 20
_ALL_DIGESTED = 64 << 20
_MOST_DIGESTED = 20_000
_LONGEST_PATH = 1000
"""Bytes of one file and of all files that are read, their number, and characters of a path: an
emulated appliance reads some 20 MiB in a second."""
_READABLE_BY_ALL = 0o004
_DATABASES = (
    "/var/lib/dpkg/", "/var/lib/apt/lists/", "/var/lib/rpm/", "/usr/lib/sysimage/rpm/", "/lib/apk/db/",
    "/usr/lib/apk/db/", "/var/lib/dnf/", "/usr/lib/sysimage/libdnf5/",
)  # fmt: skip
"""What package managers keep about their packages: hundreds of files that are in no package."""
_DIGESTED = re.compile(rb"([0-9a-f]{64})  \.(/.*)", re.DOTALL)


def unowned(files: Iterable[FileRecord], owned: Iterable[str], listing: Listing) -> list[FileRecord]:
    """The regular files that are not at any of the paths ``owned``, in the order of ``files``, except
    the databases of package managers.

    A path in a package may lead through links of the guest (/bin is usr/bin); a byte-code file of
    Python belongs to the package of its source.
    """
    places = _Places(listing)
    real = {places.real(path) for path in owned}
    return [
        one
        for one in files
        if one.kind == "f"
        and one.path not in real
        and not one.path.startswith(_DATABASES)
        and _source_of(one.path) not in real
    ]


class _Places:
    """Resolves the links in the folders of paths, each folder once."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._folders: dict[str, str] = {}

    def real(self, path: str) -> str:
        folder, _, name = path.rpartition("/")
        if (real := self._folders.get(folder)) is None:
            try:
                real = self._listing.realpath(folder or "/").rstrip("/")
            except GuestError:
                real = folder
            self._folders[folder] = real
        return f"{real}/{name}"


def _source_of(path: str) -> str:
    """The source of a byte-code file (PEP 3147); the path itself for other files."""
    if not path.endswith(".pyc"):
        return path
    folder, name = posixpath.split(path)
    if posixpath.basename(folder) != "__pycache__":
        return path[:-1]
    return f"{posixpath.dirname(folder)}/{name.split('.')[0]}.py"


def to_digest(files: Iterable[FileRecord]) -> list[str]:
    """The paths of the files to be read: those that everybody in the guest may read, and that are
    not large. The digest of a file with secrets would be a way to guess them.
    """
    left, found = _ALL_DIGESTED, []
    for one in files:
        fits = one.size <= min(_LARGEST_DIGESTED, left) and len(one.path) <= _LONGEST_PATH
        if fits and one.mode & _READABLE_BY_ALL and not one.sha256:
            left -= one.size
            found.append(one.path)
    return found[:_MOST_DIGESTED]


def digested(files: Iterable[FileRecord], output: bytes) -> list[UnownedFile]:
    """The files with their digests: those known already, and those in the output of ``DIGEST``."""
    digests = {}
    for line in output.split(b"\0"):
        if match := _DIGESTED.fullmatch(line):
            digests[match[2].decode("utf-8", "surrogateescape")] = match[1].decode()
    return [UnownedFile(one.path, one.sha256 or digests.get(one.path, "")) for one in files]
