"""Finding files in a guest as its own kernel would: links are resolved inside the guest, and shell
patterns are matched through them."""

from __future__ import annotations

import posixpath
import re
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Literal

from imagebuild.errors import GuestError, GuestFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Kind = Literal["file", "dir", "symlink", "other"]
_MOST_LINKS = 40
"""The number of links that Linux follows on the way to one file: path_resolution(7)."""
_WILD = re.compile(r"(?<!\\)[*?\[]")


@dataclass(frozen=True)
class GuestFile:
    """What is at a path of a guest, without following links: its last name, kind, permission bits,
    size in bytes and owner.

    ``links`` is the number of names (hard links) of a file, and ``target`` is the target written in
    a symbolic link.
    """

    name: str
    kind: Kind
    mode: int
    size: int
    uid: int = 0
    gid: int = 0
    links: int = field(default=1, compare=False)
    target: str = field(default="", compare=False)


class Lookup(ABC):
    """Implements questions about paths by means of two questions about folders without links in
    their path."""

    @abstractmethod
    def lookup(self, folder: str, name: str) -> GuestFile | None:
        """What ``folder`` contains under this name; None if nothing, or if it is not a folder."""

    @abstractmethod
    def entries(self, folder: str) -> Iterable[GuestFile]:
        """Everything in ``folder``. GuestError if it is not a folder."""

    def stat(self, path: str) -> GuestFile | None:
        """What is at ``path``, without following a link; None if it does not exist."""
        try:
            folder, name = posixpath.split(self.resolved(path, follow_last=False))
        except GuestError:
            return None
        return self.lookup(folder, name) if name else GuestFile("", "dir", 0o755, 0)

    def realpath(self, path: str) -> str:
        """``path`` with links resolved. GuestError if it does not exist."""
        return self.resolved(path, follow_last=True)

    def plain(self, path: str) -> str:
        """``path`` with the links in its folders resolved; its last part may be a link, or not
        exist. GuestError if a folder is missing."""
        return self.resolved(path, follow_last=False)

    def readlink(self, path: str) -> str:
        """The target written in the link at ``path``."""
        found = self.stat(path)
        if found is None or found.kind != "symlink":
            raise GuestFileError(path, "not a symbolic link")
        return found.target

    def listdir(self, path: str) -> list[GuestFile]:
        """Everything in a folder, or in the folder that a link leads to."""
        return list(self.entries(self.folder(path)))

    def folder(self, path: str) -> str:
        """The path of a folder with links resolved. GuestError if there is no folder at ``path``."""
        real = self.realpath(path)
        found = self.stat(real)
        if found is None or found.kind != "dir":
            raise GuestFileError(path, "Not a directory")
        return real

    def glob(self, pattern: str) -> list[str]:
        """The paths that match a shell pattern according to glob(7): a leading dot must be matched
        by a dot. Sorted."""
        found = [""]
        for part in pattern.strip("/").split("/"):
            if _WILD.search(part):
                found = [f"{folder}/{name}" for folder in found for name in self._matching(folder or "/", part)]
            else:
                name = re.sub(r"\\(.)", r"\1", part)
                found = [f"{folder}/{name}" for folder in found]
        return sorted(path for path in found if self.stat(path) is not None)

    def _matching(self, folder: str, part: str) -> list[str]:
        try:
            names = [entry.name for entry in self.listdir(folder)]
        except GuestError:
            return []
        fits = _compiled(part)
        return [name for name in names if fits.fullmatch(name) and (part.startswith(".") or not name.startswith("."))]

    def walk(self, path: str) -> Iterator[tuple[str, GuestFile]]:
        """Everything below a folder, or below the folder that a link leads to; links further down
        are not followed.

        Sorted by name, each folder before its contents. Trees may have any depth: the
        implementation is not recursive.
        """
        real = self.folder(path).rstrip("/")
        waiting = [(path.rstrip("/"), real, self._by_name(real or "/"))]
        while waiting:
            folder, real, entries = waiting[-1]
            entry = next(entries, None)
            if entry is None:
                waiting.pop()
                continue
            yield f"{folder}/{entry.name}", entry
            if entry.kind == "dir":
                inner = f"{real}/{entry.name}"
                waiting.append((f"{folder}/{entry.name}", inner, self._by_name(inner)))

    def _by_name(self, folder: str) -> Iterator[GuestFile]:
        return iter(sorted(self.entries(folder), key=lambda entry: entry.name))

    def resolved(self, path: str, *, follow_last: bool) -> str:
        """``path`` with its links resolved, or only those in its folders: like the kernel, from the
        left, with absolute targets relative to the guest's root."""
        done = ""
        links = 0
        parts = deque(_parts(path))
        while parts:
            part = parts.popleft()
            if part == "..":
                done = posixpath.dirname(done).rstrip("/")
                continue
            found = self.lookup(done or "/", part)
            if found is None and (parts or follow_last):
                raise GuestFileError(path, "No such file or directory")
            if found is not None and found.kind == "symlink" and (parts or follow_last):
                links += 1
                if links > _MOST_LINKS:
                    raise GuestFileError(path, "Too many levels of symbolic links")
                parts.extendleft(reversed(_parts(found.target)))
                done = "" if found.target.startswith("/") else done
                continue
            if parts and found is not None and found.kind != "dir":
                raise GuestFileError(path, "Not a directory")
            done = f"{done}/{part}"
        return done or "/"


def literal(path: str) -> str:
    """``path`` as a pattern that matches only itself."""
    return re.sub(r"([\\*?\[])", r"\\\1", path)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """One part of a shell pattern as a regular expression: glob(7). Never fails: anything that is
    not a wildcard is literal."""
    found = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "\\" and at < len(pattern):
            found.append(re.escape(pattern[at]))
            at += 1
        elif char == "[" and (group := re.compile(r"([!^]?)(\]?[^\]]*)\]").match(pattern, at)):
            inner = re.sub(r"([\\\[&~|^])", r"\\\1", group[2])
            found.append(f"[{'^' if group[1] else ''}{inner}]")
            at = group.end()
        else:
            found.append({"*": ".*", "?": "."}.get(char, re.escape(char)))
    try:
        return re.compile("".join(found), re.DOTALL)
    except re.error:
        return re.compile(re.escape(pattern), re.DOTALL)
