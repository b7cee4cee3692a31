"""The folder ``.NAME.imagebuild`` next to an image, in which its new content is created.

Anybody who passes on an image can put such a folder, with a journal in it, next to the image.
Therefore an existing folder is used only if it is a real folder that belongs to this user alone,
and only through its descriptor, so that nobody can exchange it meanwhile.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from imagebuild.errors import HostError
from imagebuild.files import is_utf8, sync
from imagebuild.host import locks
from imagebuild.host.hints import command_line
from imagebuild.host.ownership import why_not_private

JOURNAL = "journal.json"
_LONGEST_NAME = 255
"""In bytes: the limit of Linux file systems."""
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Workshop:
    """The folder, open and locked."""

    path: Path
    descriptor: int

    def done(self, number: int) -> Path:
        """The path of the complete new file of a disk."""
        return self.path / done_name(number)

    def has_journal(self) -> bool:
        """Whether anything with the name of the journal exists."""
        try:
            os.stat(JOURNAL, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def remove(self) -> None:
        """Remove the folder with all its contents."""
        for name in os.listdir(self.descriptor):  # noqa: PTH208 - no path, so that it stays this folder
            if stat.S_ISDIR(os.stat(name, dir_fd=self.descriptor, follow_symlinks=False).st_mode):
                shutil.rmtree(name, dir_fd=self.descriptor)
            else:
                os.unlink(name, dir_fd=self.descriptor)
        self.path.rmdir()
        sync(self.path.parent)


def done_name(number: int) -> str:
    """The name of the complete new file of a disk."""
    return f"{number}.done"


def path_for(target: Path) -> Path:
    """The folder in which the new content of ``target`` is created."""
    name = f".{target.name}.imagebuild"
    if len(os.fsencode(name)) > _LONGEST_NAME or not is_utf8(target.name):
        name = f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()}.imagebuild"
    return target.with_name(name)


def distrusted(path: Path, why: str) -> HostError:
    """The error for a folder that is left alone."""
    return HostError(
        f"{path} is not used: {why}",
        "imagebuild keeps unfinished work in a folder with this name; check its contents, and remove it if they are "
        f"not needed: {command_line('ls', '-la', path)}",
    )


@contextmanager
def existing(target: Path) -> Iterator[Workshop | None]:
    """The existing folder for ``target``, or None. Raises HostError if it cannot be trusted, or is
    in use."""
    path = path_for(target)
    descriptor = _opened(path)
    if descriptor is None:
        yield None
        return
    try:
        if why := why_not_private(os.fstat(descriptor)):
            raise distrusted(path, f"it {why}")
        _lock(descriptor, path, target)
        yield Workshop(path, descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def new(target: Path) -> Iterator[Workshop]:
    """An empty folder in which to create ``target``; it is removed afterwards, unless it contains a
    journal by then.

    The remains of a run that died before it wrote a journal are removed first. Raises HostError if
    an existing folder cannot be trusted.
    """
    with existing(target) as left:
        if left is not None and left.has_journal():
            raise distrusted(left.path, f"it contains the journal of an unfinished scrub that does not match {target}")
        if left is not None:
            left.remove()
    path = path_for(target)
    path.mkdir(mode=0o700)
    if why_not_private(path.lstat()):
        path.rmdir()
        raise HostError(
            f"the file system of {path.parent} does not store the owner and mode of folders",
            "use --output to write to a file system that does",
        )
    with existing(target) as work:
        if work is None:
            raise distrusted(path, "another program has removed it")
        try:
            yield work
        finally:
            if not work.has_journal():
                with suppress(OSError):  # it must not hide why the work ended
                    work.remove()


def _opened(path: Path) -> int | None:
    try:
        return os.open(path, _OPEN)
    except FileNotFoundError:
        return None
    except OSError as error:
        with suppress(FileNotFoundError):
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode):
                raise distrusted(path, "it is not a folder") from error
            why = why_not_private(status)
            raise distrusted(path, f"it {why}" if why else str(error.strerror)) from error
        return None


def _lock(descriptor: int, path: Path, target: Path) -> None:
    if not locks.free(descriptor):
        raise HostError(f"another imagebuild is making {target}", "wait until it has finished")
    if not locks.is_still(descriptor, path):
        raise HostError(f"another imagebuild has just finished {target}", "start again")
