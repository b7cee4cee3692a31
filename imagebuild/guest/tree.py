"""A cache of what is known about the files of a guest: read folder by folder or many folders
together, and kept until it changes.

Under emulation each libguestfs call takes 2 to 40 ms, and an operation asks for hundreds of files.
One find over the folders that contain nearly all of them takes about half a second.
"""

from __future__ import annotations

import posixpath
import stat as stat_bits
from typing import TYPE_CHECKING, Any

from imagebuild.guest import appliance
from imagebuild.guest.lookup import GuestFile, Kind, Lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imagebuild.guest.appliance import Appliance

_KINDS: dict[int, Kind] = {stat_bits.S_IFREG: "file", stat_bits.S_IFDIR: "dir", stat_bits.S_IFLNK: "symlink"}
_TYPES: dict[str, Kind] = {"f": "file", "d": "dir", "l": "symlink"}
"""Those of find."""
_RECORD = r"%d %y %m %s %U %G %n %f\0%l\0"
"""Depth and last name: with whole paths, the output for a deep tree would grow with the square of
its depth."""
_CLOSED = "c"
"""Begins the record of a folder that was not searched."""
_AT_FIRST = ("etc", "var", "root", "home", "boot", "srv")
_LATER = r"-name tmp -o -name .cache -o -path './home/*/*/*/*' -o -path './var/*/*/*/*/*' -o -path './srv/*/*'"
"""Folders inside these that are postponed: they may contain any number of files, and are rarely
searched."""


class _Folder:
    """A folder as far as it is known: names with their files, or None for names that are known not
    to exist."""

    __slots__ = ("entries", "folders", "stale", "whole")

    def __init__(self) -> None:
        self.entries: dict[str, GuestFile | None] = {}
        self.folders: dict[str, _Folder] = {}
        self.stale: set[str] = set()
        self.whole = False


class Tree(Lookup):
    """The files of the guest that is mounted in an appliance. Any code that changes them must
    report it."""

    def __init__(self, handle: Callable[[], Any], programs: Appliance) -> None:
        self._handle = handle
        self._programs = programs
        self._root = _Folder()
        # By path: finding them part by part would take time proportional to the square of the depth in a deep tree.
        self._folders: dict[str, _Folder] = {}
        self._reals: dict[str, str] = {}

    # -- read ------------------------------------------------------------------------------------

    def resolved(self, path: str, *, follow_last: bool) -> str:
        folder, name = posixpath.split(path)
        if name in ("", ".", ".."):
            return super().resolved(path, follow_last=follow_last)
        real = self._reals.get(folder)
        if real is None:
            real = self._reals[folder] = posixpath.dirname(super().resolved(path, follow_last=False))
        found = self.lookup(real, name)
        if follow_last and (found is None or found.kind == "symlink"):
            return super().resolved(path, follow_last=True)
        return posixpath.join(real, name)

    def lookup(self, folder: str, name: str) -> GuestFile | None:
        known = self._folder(folder)
        if name in known.entries and name not in known.stale:
            return known.entries[name]
        if known.whole and name not in known.stale:
            return None
        if not self._root.whole:
            self._load_at_first()
            return self.lookup(folder, name)
        if not appliance.is_utf8(f"{folder}/{name}") or appliance.is_long(f"{folder}/{name}"):
            self._load(folder, 1)
            return self._folder(folder).entries.get(name)
        self._look(folder, known, [name])
        return known.entries[name]

    def entries(self, folder: str) -> list[GuestFile]:
        if not self._root.whole:
            self._load_at_first()
        known = self._folder(folder)
        if not known.whole:
            self._load(folder, 1)
            known = self._folder(folder)
        elif known.stale:
            self._refresh(folder, known)
        return [entry for entry in known.entries.values() if entry is not None]

    def load(self, path: str) -> None:
        """Read a folder with everything below it, in one step."""
        real = self.realpath(path)
        if not self._is_known(real):
            self._load(real, None)

    def _refresh(self, folder: str, known: _Folder) -> None:
        names = sorted(known.stale)
        if all(appliance.is_utf8(f"{folder}/{name}") for name in names) and not appliance.is_long(folder):
            self._look(folder, known, names)
        else:
            self._load(folder, 1)

    def _is_known(self, real: str) -> bool:
        waiting = [self._folder(real)]
        while waiting:
            one = waiting.pop()
            if not one.whole or one.stale:
                return False
            for entry in one.entries.values():
                if entry is not None and entry.kind == "dir":
                    if entry.name not in one.folders:
                        return False
                    waiting.append(one.folders[entry.name])
        return True

    # -- changes ---------------------------------------------------------------------------------

    def changed(self, real: str) -> None:
        """What is at ``real``, a path without links in its folders, may be different now; its
        contents are not."""
        folder, name = posixpath.split(real)
        self._folder(folder).stale.add(name)
        self._reals.clear()

    def replaced(self, real: str) -> None:
        """What is at ``real`` and below it may be gone or different."""
        folder, name = posixpath.split(real)
        known = self._folder(folder)
        known.stale.add(name)
        known.folders.pop(name, None)
        self._forget_paths()

    def created(self, path: str) -> None:
        """The folder at ``path`` may be new, and so may those above it."""
        known = self._root
        for part in path.split("/"):
            if part:
                known.stale.add(part)
                known = known.folders.setdefault(part, _Folder())
        self._forget_paths()

    def forget(self) -> None:
        """Anything may have changed."""
        self._root = _Folder()
        self._forget_paths()

    def _forget_paths(self) -> None:
        self._folders.clear()
        self._reals.clear()

    # -- what is there ---------------------------------------------------------------------------

    def _folder(self, path: str) -> _Folder:
        found = self._folders.get(path)
        if found is None:
            above, name = posixpath.split(path)
            known = self._folders.get(above)
            if known is not None and name:
                found = known.folders.setdefault(name, _Folder())
            else:
                found = self._root
                for part in path.split("/"):
                    if part:
                        found = found.folders.setdefault(part, _Folder())
            self._folders[path] = found
        return found

    def _look(self, folder: str, known: _Folder, names: Sequence[str]) -> None:
        """Look up only some names."""
        found = self._handle().lstatnslist(folder, list(names))
        links = [name for name, one in zip(names, found, strict=True) if stat_bits.S_ISLNK(max(0, one["st_mode"]))]
        targets = dict(zip(links, self._handle().readlinklist(folder, links) if links else [], strict=True))
        for name, one in zip(names, found, strict=True):
            there = one["st_ino"] != -1
            known.entries[name] = _entry(name, one, targets.get(name, "")) if there else None
            known.stale.discard(name)

    def _load_at_first(self) -> None:
        top = " ".join(f"! -name {name}" for name in _AT_FIRST)
        closed = rf"-type d \( -path './*' ! -path './*/*' {top} -o {_LATER} \) -prune -printf '{_CLOSED}{_RECORD}'"
        output = self._programs.output(
            rf'cd "$1" && find -P . -mindepth 1 {closed} -o -printf "{_RECORD}"', [appliance.path("")]
        )
        self._take("/", output, None)

    def _load(self, folder: str, depth: int | None) -> None:
        deep = f"-maxdepth {depth}" if depth else ""
        script = rf'for step; do cd -P -- "$step" || exit 0; done; find -P . -mindepth 1 {deep} -printf "{_RECORD}"'
        self._take(folder, self._programs.output(script, appliance.steps(folder)), depth)

    def _take(self, folder: str, output: bytes, depth: int | None) -> None:
        """Store what find has printed about a folder. It lists each folder before its contents."""
        start = self._folder(folder)
        above = [start]
        start.entries, start.stale, start.whole = {}, set(), True
        before, start.folders = start.folders, {}
        self._forget_paths()
        fields = iter(output.decode("utf-8", "surrogateescape").split("\0"))
        for record, target in zip(fields, fields, strict=False):
            level, entry = _parsed(record.removeprefix(_CLOSED), target)
            del above[level:]
            above[-1].entries[entry.name] = entry
            if entry.kind != "dir":
                continue
            closed = record.startswith(_CLOSED) or level == depth
            inner = before.get(entry.name) if closed and level == 1 else None
            inner = inner or _Folder()
            inner.whole = inner.whole or not closed
            above[-1].folders[entry.name] = inner
            above.append(inner)


def _parsed(record: str, target: str) -> tuple[int, GuestFile]:
    level, kind, mode, size, uid, gid, links, name = record.split(" ", 7)
    entry = GuestFile(
        name, _TYPES.get(kind, "other"), int(mode, 8), int(size), int(uid), int(gid), links=int(links), target=target
    )
    return int(level), entry


def _entry(name: str, found: dict[str, int], target: str) -> GuestFile:
    return GuestFile(
        name,
        _KINDS.get(stat_bits.S_IFMT(found["st_mode"]), "other"),
        stat_bits.S_IMODE(found["st_mode"]),
        found["st_size"],
        found["st_uid"],
        found["st_gid"],
        links=found["st_nlink"],
        target=target,
    )
