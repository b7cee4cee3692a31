"""The files of a guest as its survey lists them, to resolve links and patterns without a call."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable

from imagebuild.contents.inventory import FileRecord
from imagebuild.errors import GuestError
from imagebuild.guest import GuestFile, Kind, Lookup

_KINDS: dict[str, Kind] = {"f": "file", "d": "dir", "l": "symlink"}


class Listing(Lookup):
    """Answers questions about paths from a list of all files."""

    def __init__(self, files: Iterable[FileRecord]) -> None:
        self._folders: dict[str, dict[str, GuestFile]] = defaultdict(dict)
        for one in files:
            folder, name = posixpath.split(one.path)
            kind = _KINDS.get(one.kind, "other")
            self._folders[folder][name] = GuestFile(name, kind, one.mode, one.size, one.uid, one.gid, target=one.target)

    def lookup(self, folder: str, name: str) -> GuestFile | None:
        return self._folders[folder].get(name) if folder in self._folders else None

    def entries(self, folder: str) -> Iterable[GuestFile]:
        return self._folders[folder].values() if folder in self._folders else ()

    def real_file(self, path: str) -> str | None:
        """The regular file at ``path``, or that it links to; None if there is none."""
        try:
            real = self.realpath(path)
        except GuestError:
            return None
        found = self.stat(real)
        return real if found is not None and found.kind == "file" else None
