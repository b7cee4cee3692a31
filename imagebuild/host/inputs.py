"""The files that a process has worked with, by the interpreter's own account, and whether any has
changed since: for results that are kept until something does.

The interpreter reports each file that it opens and each folder that it lists, whoever asks for it
(PEP 578), so no reader can be forgotten. It does not report where something was only looked up:
those places are noted (:mod:`imagebuild.host.looked_at`). Files and folders count by what is in
them. Only the code of other projects and the shared libraries, of which a process has more than a
thousand, count by their size, their times and their inode.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imagebuild.fingerprint import PACKAGE
from imagebuild.host.looked_at import place

_MOST_FILES = 5000
_MOST_BYTES = 1 << 26
"""To see that more than that has not changed would take as long as to work it out again."""
_MARGIN = 1.0
"""Seconds before the start of this process: what has changed later may not be what it has loaded."""
_STARTED = time.time() - _MARGIN
_CACHE = "__pycache__"
_COMPILED = ".pyc"
_BEGIN = "imagebuild.begin"
_MAPPED = "/proc/self/maps"
_MEMORY = ("/memfd:", "/dev/", "/SYSV")
"""The beginnings of the names of what is no file."""
_USERS = "/etc/passwd"
"""The paths of users (``~name``) are found here, not by the interpreter."""
_UNCERTAIN = frozenset({"subprocess.Popen", "os.posix_spawn", "os.exec", "os.fork", "os.chdir", "socket.connect"})
"""What a process may do whose result cannot be seen in files, or with which paths mean something else."""


class OpenedFiles:
    """The files that this process opens for reading and the folders that it lists, each with its state
    at that time, until ``stop``. Unless ``is_whole``, it may have worked with more than that.
    """

    def __init__(self) -> None:
        self.files: dict[str, tuple[int, ...] | None] = {}
        self.folders: dict[str, tuple[int, ...] | None] = {}
        self.is_whole = False
        self._stopped = False
        self._here = os.getcwd()  # noqa: PTH109 - a text is needed
        sys.addaudithook(self._see)
        sys.audit(_BEGIN)  # another hook may have refused this one, of which nothing is said

    def stop(self) -> None:
        """Note nothing more. The interpreter has no way to remove a hook."""
        self._stopped = True

    def _see(self, event: str, args: tuple[Any, ...]) -> None:
        if self._stopped:
            return
        if event == "open":
            path, _mode, flags = args
            if isinstance(flags, int) and flags & os.O_ACCMODE != os.O_WRONLY:
                self._note(self.files, path)
        elif event in ("os.listdir", "os.scandir"):
            self._note(self.folders, args[0] or ".")
        elif event == _BEGIN:
            self.is_whole = True
        elif event in _UNCERTAIN:
            self.is_whole = False
            self.stop()

    def _note(self, found: dict[str, tuple[int, ...] | None], path: object) -> None:
        if isinstance(path, str | bytes | os.PathLike):  # a number is an open file, and has been seen
            absolute = os.path.join(self._here, os.fsdecode(path))  # noqa: PTH118 - Path would resolve nothing, slowly
            if absolute not in found:
                # compiled code mostly counts by its source; what does not is never taken to be the same
                found[absolute] = () if absolute.endswith(_COMPILED) else _state(absolute)


@dataclass(frozen=True)
class Inputs:
    """What a result depends on, and the digest of its state when the result was made."""

    files: Sequence[str]
    folders: Sequence[str]
    places: Sequence[str]
    libraries: Sequence[str]
    digest: str = ""

    def is_current(self) -> bool:
        """Whether all of it is still the same."""
        return self.digest == self.now()

    def now(self) -> str:
        """The digest of the present state."""
        total = hashlib.sha256()
        for how, paths in (
            (_content, self.files),
            (_names, self.folders),
            (place, self.places),
            (_state, self.libraries),
        ):
            for path in paths:
                total.update(f"{path}\0{how(path)}\0".encode("utf-8", "surrogateescape"))
            total.update(b"\0")
        return total.hexdigest()


def inputs(
    opened: OpenedFiles, places: Iterable[str], others: Collection[str], folders: Sequence[str]
) -> Inputs | None:
    """All that this process has worked with: the files and folders in ``opened``, the ``places`` where
    something was looked up, and the code that is loaded. None if some of it may have changed meanwhile, or
    if it is too much. ``others`` are files and folders that do not count, ``folders`` such folders with all
    that is in them.
    """
    modules = [*sys.modules.values()]
    loaded = _named(modules, "__file__")
    mapped = _mapped()
    if not opened.is_whole or mapped is None or any(map(_is_new, (*loaded, *mapped))):
        return None
    package = f"{PACKAGE}/"
    own = {path for path in loaded if path.startswith(package)}
    # a compiled module counts by its source
    passed = {*others, *((loaded - own) | mapped), *_named(modules, "__cached__")}
    files = {path: state for path, state in opened.files.items() if not _is_passed(path, passed, folders)}
    listed = {path: state for path, state in opened.folders.items() if not _is_passed(path, passed, folders)}
    if any(_state(path) != state for path, state in (*files.items(), *listed.items())):
        return None
    every = own.union(files, [_USERS])
    if len(every) + len(listed) > _MOST_FILES or sum(map(_size, every)) > _MOST_BYTES:
        return None
    # the real paths of these files count, too: what is beside a file is found by it
    looked_up = {*places, *(path for path in files if not path.startswith(package))}
    found = Inputs(sorted(every), sorted(listed), sorted(looked_up), sorted((loaded - own) | mapped))
    return replace(found, digest=found.now())


def _named(modules: Iterable[object], attribute: str) -> set[str]:
    """The files that an attribute of modules names."""
    return {str(one) for module in modules if (one := getattr(module, attribute, None))}


def _is_passed(path: str, others: Collection[str], folders: Sequence[str]) -> bool:
    """Whether a file or folder does not count; a path with ``..`` may lead anywhere."""
    inside = path.startswith(tuple(f"{one}/" for one in folders)) and "/../" not in path
    return path in others or path in folders or inside or path.endswith(f"/{_CACHE}")


def _size(path: str) -> int:
    with suppress(OSError):
        return os.stat(path).st_size  # noqa: PTH116 - hundreds of them
    return 0


def _is_new(path: str) -> bool:
    """Whether a file may be another one than what was loaded from its path."""
    with suppress(OSError):
        status = os.stat(path)  # noqa: PTH116 - a thousand of them
        return max(status.st_mtime, status.st_ctime) > _STARTED
    return not path.startswith("<")  # a frozen module has no file


def _mapped() -> set[str] | None:
    """The files that are mapped into this process, above all shared libraries; None if one of them has
    been replaced.
    """
    paths = {line.split(maxsplit=5)[5] for line in Path(_MAPPED).read_text().splitlines() if " /" in line}
    paths = {path for path in paths if not path.startswith(_MEMORY)}
    return None if any(path.endswith(" (deleted)") for path in paths) else paths


def _state(path: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - as above
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _content(path: str) -> str:
    """The SHA-256 of a file, and whether it is a program."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return f"no file {error.errno}"
    with open(descriptor, "rb", buffering=0) as stream:  # noqa: PTH123 - a descriptor
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            return f"no file {stat.S_IFMT(mode)}"
        return f"{bool(mode & stat.S_IXUSR)} {hashlib.sha256(stream.read()).hexdigest()}"


def _names(path: str) -> str:
    """The names in a folder, each with its kind; of a link, where it leads."""
    try:
        with os.scandir(path) as entries:
            found = sorted(
                (one.name, one.is_dir(follow_symlinks=False), os.readlink(one.path) if one.is_symlink() else "")  # noqa: PTH115
                for one in entries
                if one.name != _CACHE
            )
    except OSError as error:
        return f"no folder {error.errno}"
    return repr(found)
