"""The folder with the pages: what is in it, what of it is ours, and how it is replaced.

    DIR/.imagebuild-page.json     the record: the files that were written, and from what
    DIR/.imagebuild-page.new/     files of a run that has not ended

New files are written aside and fsynced, all of them, before the first one gets its name; the index is
the last. Until then every error leaves the page as it was. Only files in the record are ever replaced
or removed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from imagebuild.errors import HostError, ImageBuildError, UsageError
from imagebuild.files import read_record, remove_tree, sync, write_record
from imagebuild.host import locks
from imagebuild.page.facts import Download, VersionRow
from imagebuild.printable import one_line

RECORD = ".imagebuild-page.json"
_ASIDE = ".imagebuild-page.new"
_LAST = "index.html"
_HINT = "choose a new or empty folder for the page"
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIECE = 1 << 20


@dataclass(frozen=True)
class PageUnit:
    """Files that are written together, with their sizes, and the digest of all that they were made
    from; ``row`` is what lists show of a version.
    """

    key: str
    files: dict[str, int]
    row: VersionRow | None = None


@dataclass(frozen=True)
class PageRecord:
    """What is in the folder; ``claimed`` are files that a run which was killed may have left."""

    units: dict[str, PageUnit] = field(default_factory=dict)
    claimed: tuple[str, ...] = ()
    schema: int = 1


class PageFolder:
    """A folder of pages while it is being written."""

    def __init__(self, root: Path, record: PageRecord) -> None:
        self.root = root
        self._old = record
        self._units: dict[str, PageUnit] = {}
        self._current: dict[str, int] = {}
        self._staged: list[str] = []
        self._aside = root / _ASIDE

    def kept(self, name: str, key: str) -> PageUnit | None:
        """The unit of that name if it was made from the same and all its files are there; it then
        stays as it is.
        """
        unit = self._old.units.get(name)
        if unit is None or unit.key != key or not all(self._is_there(*one) for one in unit.files.items()):
            return None
        self._units[name] = unit
        return unit

    def put(self, path: str, content: str | bytes) -> None:
        """Write a file of the current unit; one with this content stays as it is."""
        data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
        self._current[path] = len(data)
        own = self.root / path
        if path in self._owned() and self._is_there(path, len(data)) and own.read_bytes() == data:
            return
        with self._new(path).open("xb") as file:
            file.write(data)
            os.fchmod(file.fileno(), 0o644)

    def link(self, path: str, target: Path) -> None:
        """Make a symbolic link in the current unit."""
        self._current[path] = -1
        self._new(path).symlink_to(target)

    def copy(self, path: str, source: Download) -> None:
        """Copy a file into the current unit. Raises ImageBuildError if it has another digest."""
        self._current[path] = source.size
        digest = hashlib.sha256()
        descriptor = os.open(source.path, _READ)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ImageBuildError(f"{source.path} is not a regular file", "build the image again")
            with os.fdopen(descriptor, "rb", closefd=False) as file, self._new(path).open("xb") as copy:
                while piece := file.read(_PIECE):
                    digest.update(piece)
                    copy.write(piece)
                os.fchmod(copy.fileno(), 0o644)
        finally:
            os.close(descriptor)
        if source.sha256 and digest.hexdigest() != source.sha256:
            raise ImageBuildError(
                f"{source.path} was changed after it was built: its SHA-256 is not the one in SHA256SUMS",
                "build the image again; the page was not changed",
            )

    def close_unit(self, name: str, key: str, row: VersionRow | None = None) -> None:
        """End the current unit."""
        self._units[name] = PageUnit(key, self._current, row)
        self._current = {}

    def finish(self) -> tuple[int, int]:
        """Give all files their names, and remove those of units that are no longer there. Returns how
        many files were written, and how many removed.
        """
        new = PageRecord(self._units)
        ours = self._owned()
        for path in self._staged:
            if os.path.lexists(self.root / path) and path not in ours:
                raise UsageError(f"{self.root / path} is in the folder, but not part of the page", "move it elsewhere")
            if not (self._aside / path).is_symlink():
                sync(self._aside / path)
        self._write(replace(self._old, claimed=(*self._old.claimed, *self._staged)))
        folders = set()
        for path in sorted(self._staged, key=lambda one: (one == _LAST, one)):
            target = self.root / path
            _make_folders(self.root, path)
            (self._aside / path).rename(target)
            folders.add(target.parent)
        for folder in folders:
            sync(folder)
        stale = ours - {path for unit in self._units.values() for path in unit.files}
        removed = sum(self._remove(path) for path in sorted(stale))
        self._write(new)
        return len(self._staged), removed

    def _owned(self) -> set[str]:
        files = {path for unit in self._old.units.values() for path in unit.files}
        return files | set(self._old.claimed)

    def _is_there(self, path: str, size: int) -> bool:
        try:
            status = (self.root / path).lstat()
        except OSError:
            return False
        return stat.S_ISLNK(status.st_mode) if size < 0 else stat.S_ISREG(status.st_mode) and status.st_size == size

    def _new(self, path: str) -> Path:
        aside = self._aside / path
        aside.parent.mkdir(parents=True, exist_ok=True)
        self._staged.append(path)
        return aside

    def _remove(self, path: str) -> bool:
        """Remove a file of ours, and the folders that are then empty."""
        target = self.root / path
        if not _is_plain(path) or any(parent.is_symlink() for parent in _between(self.root, target)):
            return False
        try:
            target.unlink()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return False
        with suppress(OSError):
            for parent in _between(self.root, target):
                parent.rmdir()  # only if nothing else is in it
        return True

    def _write(self, record: PageRecord) -> None:
        write_record(self.root / RECORD, record)


@contextmanager
def opened(root: Path) -> Iterator[PageFolder]:
    """The folder of a page, which is created, under its lock. Raises UsageError for a folder with
    other files, HostError if another process is writing the page, or if there is no space left.
    """
    new = not root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{root} is not a folder", _HINT) from error
    if new:
        root.chmod(0o755)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not locks.free(descriptor):
            raise HostError(f"another process is writing the page {root}", "try again when it has ended")
        record = _record(root)
        write_record(root / RECORD, record)  # from now on the folder is ours, even if this process is killed
        try:
            remove_tree(root / _ASIDE)
            (root / _ASIDE).mkdir(mode=0o700)
            yield PageFolder(root, record)
        finally:
            remove_tree(root / _ASIDE)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise HostError(f"no space left for the page {root}", "free some space there, and run it again") from error
    finally:
        os.close(descriptor)


def _record(root: Path) -> PageRecord:
    path = root / RECORD
    if not os.path.lexists(path):
        for name in sorted(one.name for one in root.iterdir()):
            if name != "lost+found":
                raise UsageError(f"{root} is neither empty nor a page: it contains {one_line(name)}", _HINT)
        return PageRecord()
    try:
        record = read_record(path, PageRecord)
    except (OSError, ValueError) as error:
        hint = f"if the folder is a page, remove {path} and all that belongs to the page"
        raise UsageError(f"{path} cannot be used: it is not the record of a page", hint) from error
    if record.schema != 1:
        raise UsageError(f"{root} was written by a newer imagebuild", "update imagebuild, or choose another folder")
    return record


def _is_plain(path: str) -> bool:
    return not path.startswith("/") and all(part not in ("", ".", "..") for part in path.split("/"))


def _between(root: Path, target: Path) -> list[Path]:
    """The folders between a file and the root, the innermost first."""
    return [parent for parent in target.parents if root in parent.parents]


def _make_folders(root: Path, path: str) -> None:
    """Make the folders of a file; a link in the place of one is not followed."""
    for folder in reversed(_between(root, root / path)):
        if not os.path.lexists(folder):
            folder.mkdir()
            folder.chmod(0o755)
        if folder.is_symlink() or not folder.is_dir():
            raise UsageError(f"{folder} is not a folder", "remove it")
