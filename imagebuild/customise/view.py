"""Read access to a guest for operations: its files, accounts and home folders."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from imagebuild.customise import system_folders
from imagebuild.customise.facts import Account, accounts, homes
from imagebuild.customise.files import Files
from imagebuild.errors import GuestError, GuestFileError
from imagebuild.schema.customised import Change

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from imagebuild.guest import GuestFile
    from imagebuild.guest.text_search import SearchResult

LARGEST_TEXT = 1 << 20
"""The size in bytes up to which a file is read as a text. A guest's file may have any size, but a
configuration file is small."""


class View:
    """The methods that change nothing. Paths are absolute.

    Texts and names are UTF-8, with all other bytes preserved (surrogateescape). ``failed`` contains
    what could not be done, with the reasons.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self.failed: list[Change] = []

    def not_done(self, path: str, reason: str) -> None:
        """Record that something at ``path`` could not be done, while the rest continues."""
        change = Change(shown(path), reason)
        if change not in self.failed:
            self.failed.append(change)

    def exists(self, path: str) -> bool:
        """True for anything at ``path``, including a dangling link."""
        return self._files.stat(path) is not None

    def is_file(self, path: str) -> bool:
        """True for a regular file (not for a link to one)."""
        return self._is(path, "file")

    def is_dir(self, path: str) -> bool:
        """True for a folder (not for a link to one)."""
        return self._is(path, "dir")

    def leads_to_folder(self, path: str) -> bool:
        """True for a folder and for a link to one."""
        try:
            return self._is(self._files.realpath(path), "dir")
        except GuestError:
            return False

    def realpath(self, path: str) -> str:
        """``path`` with links resolved. GuestError if it does not exist."""
        return self._files.realpath(path)

    def is_symlink(self, path: str) -> bool:
        """True for a symbolic link, dangling or not."""
        return self._is(path, "symlink")

    def size(self, path: str) -> int:
        """The size in bytes of what is at ``path``, without following links; 0 if it does not
        exist."""
        found = self._files.stat(path)
        return found.size if found else 0

    def _is(self, path: str, kind: str) -> bool:
        found = self._files.stat(path)
        return found is not None and found.kind == kind

    def readlink(self, path: str) -> str:
        """The target of the link at ``path``, as it is written in it."""
        return self._files.readlink(path)

    def real_file(self, path: str) -> str | None:
        """The regular file at ``path``, or that it links to; None if it leads nowhere or to
        something else."""
        found = self._files.stat(path)
        if found is not None and found.kind == "symlink":
            try:
                path = self._files.realpath(path)
            except GuestError:
                return None
            found = self._files.stat(path)
        return path if found is not None and found.kind == "file" else None

    def read(self, path: str, limit: int = LARGEST_TEXT) -> str:
        """The text of a file, following links; GuestError if it is not a file, or is larger than
        ``limit`` bytes."""
        return self.read_bytes(path, limit).decode("utf-8", "surrogateescape")

    def read_bytes(self, path: str, limit: int = LARGEST_TEXT) -> bytes:
        """The content of a file, following links; GuestError if it is not a file, or is larger than
        ``limit`` bytes."""
        real = self.real_file(path)
        if real is None:
            # Opening a pipe or a device would wait forever.
            raise GuestFileError(path, "is not a file that can be read")
        content = self._files.read(real, limit + 1)
        if len(content) > limit:
            raise GuestFileError(path, f"is larger than {limit} bytes, the limit for such a file")
        return content

    def glob(self, *patterns: str) -> list[str]:
        """The paths that match any of the shell patterns, following links in their folders; sorted,
        each once."""
        return sorted({path for pattern in patterns for path in self._files.glob(pattern)})

    def sweep(self, *patterns: str) -> list[str]:
        """Like ``glob``, for paths that are going to be removed.

        If a pattern is not specific, such as ``*``, links into a system folder are not followed:
        that is recorded as not done.
        """
        found = set()
        for pattern in patterns:
            matches = self._files.glob(pattern)
            if system_folders.names_little(pattern):
                allowed = {folder: self._may_sweep(folder) for folder in {posixpath.dirname(path) for path in matches}}
                matches = [path for path in matches if allowed[posixpath.dirname(path)]]
            found.update(matches)
        return sorted(found)

    def listdir(self, path: str) -> list[GuestFile]:
        """The contents of a folder, or of the folder that a link leads to, sorted by name; empty if
        it does not exist."""
        return sorted(self._files.listdir(path), key=lambda entry: entry.name) if self.leads_to_folder(path) else []

    def walk(self, path: str) -> Iterator[tuple[str, GuestFile]]:
        """Everything below a folder, or below the folder that a link leads to, with its path; each
        folder before its contents.

        Links further down are not followed, and neither is a link into a system folder: that is
        recorded as not done.
        """
        if self.leads_to_folder(path) and self._may_sweep(path):
            yield from self._files.walk(path)

    def sweepable(self, path: str) -> str | None:
        """The path, with links resolved, of a folder in which anything may be removed; None if
        there is none.

        If a link leads into a system folder, that is recorded as not done.
        """
        return self._files.realpath(path) if self.leads_to_folder(path) and self._may_sweep(path) else None

    def _may_sweep(self, folder: str) -> bool:
        real = self._files.realpath(folder)
        if real == posixpath.normpath(folder):
            return True
        if system_folders.leads_astray(folder, real, self.mountpoints()):
            whose = "which belongs to the system"
        elif any(f"{home.path}/".startswith(f"{real}/") for home in self.homes()):
            whose = "which is or contains a home folder"
        else:
            return True
        self.not_done(folder, f"a link leads to {real}, {whose}: nothing in it was changed")
        return False

    def search(
        self, folders: Sequence[str], texts: Sequence[bytes], name: str, skip: Sequence[str] = ()
    ) -> SearchResult:
        """Search real folders for files by a line in them, for anything by its name, and for all
        links; see ``imagebuild.guest.text_search``."""
        return self._files.search(folders, texts, name, skip)

    def stat(self, path: str) -> GuestFile | None:
        """What is at ``path``, without following links; None if it does not exist."""
        return self._files.stat(path)

    def real_files(self, *patterns: str) -> list[str]:
        """The paths that match any of the shell patterns and are, or link to, a regular file."""
        return [path for path in self.glob(*patterns) if self.real_file(path)]

    def accounts(self) -> list[Account]:
        """All accounts of the guest."""
        return accounts(self)

    def homes(self) -> list[Account]:
        """Root and all accounts whose home folder exists; each folder once."""
        return homes(self)

    def device(self, path: str) -> str:
        """The device of the file system that a folder is on, by its name here."""
        return self._files.device(path)

    def mountpoints(self) -> list[str]:
        """Where the guest's file systems are mounted, ``/`` first."""
        return self._files.mountpoints()


def shown(path: str) -> str:
    """A path as it is recorded: bytes that are not valid UTF-8 are escaped, so that everything can
    print and store it."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
