"""A remote store in a folder of this machine, or one that it mounts, as with NFS.

The folder itself is never created: an empty mount point must not be taken for it. No link in it is
followed, whoever made it.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imagebuild.errors import HostError
from imagebuild.printable import one_line
from imagebuild.remote.place import StoredObject, too_large

_FILE = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FolderPlace:
    """A folder; new files and folders in it get the modes that the umask allows."""

    writable = True
    threads = 4

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._root = name, folder

    def read(self, name: str, limit: int) -> bytes | None:
        with self._errors(name):
            try:
                with self._parent(name) as (parent, last):
                    descriptor = os.open(last, os.O_RDONLY | _FILE, dir_fd=parent)
            except FileNotFoundError:
                self._check_there()
                return None
            with os.fdopen(descriptor, "rb", buffering=0) as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise HostError(f"{name} in the remote store {self._name} is not a regular file", "remove it")
                content = file.read(limit + 1)
                while 0 < len(content) <= limit and (more := file.read(limit + 1 - len(content))):
                    content += more
        if len(content) > limit:
            raise too_large(name, limit)
        return content

    def size(self, name: str) -> int | None:
        with self._errors(name):
            try:
                with self._parent(name) as (parent, last):
                    status = os.stat(last, dir_fd=parent, follow_symlinks=False)
            except FileNotFoundError:
                self._check_there()
                return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def write(self, name: str, content: bytes) -> None:
        with self._errors(name), self._parent(name, make=True) as (parent, last):
            aside = f".{last}.{secrets.token_hex(4)}.part"
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, 0o666, dir_fd=parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(descriptor)
                os.rename(aside, last, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                with suppress(OSError):
                    os.unlink(aside, dir_fd=parent)
                raise

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        with self._errors(prefix):
            self._check_there()
            yield from self._below(self._root / prefix, prefix)

    def _below(self, folder: Path, name: str) -> Iterator[StoredObject]:
        try:
            found = list(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in found:
            inner = f"{name}/{entry.name}"
            with suppress(FileNotFoundError):  # removed meanwhile
                if entry.is_dir(follow_symlinks=False):
                    yield from self._below(folder / entry.name, inner)
                elif entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    yield StoredObject(inner, status.st_size, status.st_mtime)

    def remove(self, name: str) -> None:
        with self._errors(name), suppress(FileNotFoundError), self._parent(name) as (parent, last):
            os.unlink(last, dir_fd=parent)

    def close(self) -> None:
        pass

    @contextmanager
    def _parent(self, name: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The open folder that an object is in, and its name there."""
        *folders, last = name.split("/")
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for folder in folders:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(folder, dir_fd=descriptor)
                inner = os.open(folder, _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor, last
        finally:
            os.close(descriptor)

    def _check_there(self) -> None:
        if not self._root.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._root))

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._translated(error, name) from error

    def _translated(self, error: OSError, name: str) -> HostError:
        about = f"{one_line(name)} in the remote store {self._name}"
        if not self._root.is_dir():
            return HostError(f"the remote store {self._name} is not there", f"create {self._root}, or mount it")
        if error.errno in _FULL:
            return HostError(
                f"there is no room in the remote store {self._name}", "remove old results with `imagebuild store prune`"
            )
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            return HostError(f"{about} is reached through a symbolic link, and none is followed there", "remove it")
        hint = "make sure that this user may read and write there" if error.errno == errno.EACCES else None
        return HostError(f"cannot use {about}: {error.strerror}", hint)
