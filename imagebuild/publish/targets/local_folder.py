"""Publishes to a folder of this machine, or one that it mounts, as with NFS.

Published files are copies: a hard link would be the same file as the artifact, and change with it. They
are read-only. The folder is never created: an empty mount point must not be taken for it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.files import sync
from imagebuild.host import locks
from imagebuild.publish.protocol import Progress
from imagebuild.publish.release import ReleaseFile
from imagebuild.publish.state import LARGEST, StoredFile, TemplateState
from imagebuild.publish.targets.records import (
    LOCK,
    PART,
    Records,
    checked_file,
    published_name,
    record_name,
    template_of,
)
from imagebuild.publish.targets.resuming import BLOCK, sent

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FolderTarget:
    """A folder as a place to publish to; ``patience`` is how many seconds to wait for its lock."""

    def __init__(self, name: str, folder: Path, patience: float = 60.0) -> None:
        self.name = name
        self._folder = folder
        self._patience = patience
        self._records = Records(name, str(folder))

    @contextmanager
    def lock(self) -> Iterator[None]:
        with self._unusable():
            descriptor = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT | _FLAGS, 0o666)
        try:
            with self._unusable():
                self._wait(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _wait(self, descriptor: int) -> None:
        end = time.monotonic() + self._patience
        while not locks.free(descriptor):
            if time.monotonic() > end:
                raise HostError(
                    f"somebody else has been publishing to {self.name} for {self._patience:.0f} s",
                    "wait until that has ended, and run the command again",
                )
            time.sleep(min(0.2, self._patience))

    def templates(self) -> list[str]:
        with self._unusable():
            found = [template_of(entry.name) for entry in os.scandir(self._folder) if _is_file(entry)]
        return sorted(template for template in found if template)

    def state(self, template: str) -> TemplateState | None:
        return self._records.read(template, self._record(template))

    def _record(self, template: str) -> bytes | None:
        with self._unusable(), _opened(self._folder / record_name(template)) as descriptor:
            if descriptor is None:
                return None
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise self._records.too_large(template)
        return content

    def stored(self) -> Mapping[str, int]:
        sizes: dict[str, int] = {}
        with self._unusable():
            for entry in sorted(os.scandir(self._folder), key=lambda entry: entry.name, reverse=True):
                name = published_name(entry.name)
                if name and _is_file(entry):
                    sizes[name] = entry.stat(follow_symlinks=False).st_size  # the complete one comes last
        return sizes

    def send(self, file: ReleaseFile, template: TemplateState | None, progress: Progress) -> int:
        final = self._folder / checked_file(file.stored.name)
        part = final.with_name(final.name + PART)
        with self._unusable():
            if os.path.lexists(final):
                part.unlink(missing_ok=True)
                return 0
            try:
                count = self._copy(file, part, progress)
            except (OSError, ImageBuildError) as error:
                if not isinstance(error, OSError) or error.errno in _NO_ROOM:
                    part.unlink(missing_ok=True)
                raise
            _rename(part, final)
            sync(self._folder)
        return count

    def _copy(self, file: ReleaseFile, path: Path, progress: Progress) -> int:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
        except PermissionError:  # complete and read-only, or somebody else's
            path.unlink(missing_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                raise HostError(f"{path} is not a file of its own", "remove it")
            self._check_room(file.stored.size - status.st_blocks * 512)
            count = sent(file, _LocalPart(descriptor), progress)
            os.fsync(descriptor)
            os.fchmod(descriptor, 0o444)  # last: a read-only part could not be opened again
        finally:
            os.close(descriptor)
        return count

    def _check_room(self, needed: int) -> None:
        room = os.statvfs(self._folder)
        if room.f_blocks and needed > room.f_bavail * room.f_frsize:
            raise HostError(
                f"there is no room for the image at {self.name}: {needed >> 20} MiB are needed, "
                f"{room.f_bavail * room.f_frsize >> 20} MiB are free",
                "free some space, or remove old versions with `imagebuild prune`",
            )

    def digest(self, file: StoredFile, progress: Progress) -> str:
        with self._unusable(), _opened(self._folder / checked_file(file.name)) as descriptor:
            if descriptor is None:
                return ""
            return _read_back(descriptor, progress)

    def switch(self, state: TemplateState) -> None:
        path = self._folder / record_name(state.template)
        self._records.check(state.template, self._record(state.template))
        content = self._records.written(state)
        with self._unusable():
            aside = path.with_name(f".{path.name}.new")  # one name: the lock is held, and nothing piles up
            aside.unlink(missing_ok=True)
            try:
                descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o644)
                with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                    file.write(content)
                    file.flush()
                    os.fchmod(descriptor, 0o644)
                    os.fsync(descriptor)
                aside.rename(path)
            except OSError:
                aside.unlink(missing_ok=True)
                raise
            sync(self._folder)
        self._records.now(state.template, content)

    def used(self, state: TemplateState) -> Mapping[str, str]:
        """Nothing: who reads a file of this folder is not known here."""
        return {}

    def remove(self, file: str) -> None:
        path = self._folder / checked_file(file)
        with self._unusable():
            for one in (path, path.with_name(path.name + PART)):
                one.unlink(missing_ok=True)
            sync(self._folder)

    @contextmanager
    def _unusable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._host_error(error) from error

    def _host_error(self, error: OSError) -> HostError:
        about = f"{self.name} ({error.filename or self._folder})"
        if error.errno in _NO_ROOM:
            return HostError(f"there is no room for the image at {about}", "free some space there")
        if error.errno == errno.ELOOP:
            return HostError(f"{about} is a symbolic link, and none is followed there", "remove it")
        if not self._folder.is_dir():
            return HostError(f"the folder of {self.name} is not there: {self._folder}", "create it, or mount it")
        hint = "make sure that this user can write there" if error.errno in (errno.EACCES, errno.EPERM) else None
        return HostError(f"cannot publish to {about}: {error.strerror}", hint)


class _LocalPart:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read(self, at: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, at)

    def write(self, at: int, block: bytes) -> None:
        rest = memoryview(block)
        while rest:
            count = os.pwrite(self._descriptor, rest, at)
            at, rest = at + count, rest[count:]

    def cut(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """A regular file for reading; None if there is nothing. No link is followed, no pipe waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise
        yield None
        return
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise HostError(f"{path} is not a regular file", "remove it")
        yield descriptor
    finally:
        os.close(descriptor)


def _read_back(descriptor: int, progress: Progress) -> str:
    """The SHA-256 of what is on the disk: what the kernel has in memory of the file is dropped before,
    so that it is read again, over NFS from the server.
    """
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    digest, at, total = hashlib.sha256(), 0, os.fstat(descriptor).st_size
    while block := os.pread(descriptor, BLOCK, at):
        digest.update(block)
        at += len(block)
        progress(at, total)
    return digest.hexdigest()


def _rename(part: Path, final: Path) -> None:
    """Give a complete file its name, which nothing has: link(2) replaces nothing, unlike rename(2)."""
    try:
        os.link(part, final, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS or os.path.lexists(final):
            raise
        part.rename(final)  # no hard links here; the lock keeps other publishers away
        return
    with suppress(FileNotFoundError):
        part.unlink()
