"""A folder with published files: only files with valid names are touched, and no link is followed."""

import fcntl
import os
import re
import stat
import time
from typing import Dict, Optional, Tuple

LOCK = ".imagebuild.lock"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,240}")
_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""A FIFO under a file's name must not make the agent wait."""
_POLL = 0.2


class RequestRefused(Exception):
    """A request cannot be carried out; ``kind`` says why to the program at the other end."""

    def __init__(self, kind: str, message: str) -> None:
        Exception.__init__(self, message)
        self.kind = kind


def checked(name: str) -> str:
    """``name`` if it can be that of a published file. Raises RequestRefused."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RequestRefused("refused", "this is not the name of a published file: %r" % (name,))
    return name


def part_of(name: str) -> str:
    """The name of a file while it is incomplete; libvirt ignores names that start with a dot."""
    return "." + name + ".part"


class Folder:
    """An open folder. Descriptors that methods return belong to the caller."""

    def __init__(self, path: str) -> None:
        # The path is the administrator's, links in it too; names in the folder could be anybody's.
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._lock = -1

    def lock(self, seconds: float) -> None:
        """Exclude other agents from this folder. Raises RequestRefused if one is at work for so long."""
        if self._lock >= 0:
            return
        descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | _SAFE, 0o600, dir_fd=self.descriptor)
        end = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    os.close(descriptor)
                    raise RequestRefused("busy", "another publish uses this folder") from None
            time.sleep(_POLL)
        self._lock = descriptor

    def close(self) -> None:
        """Close the folder and release its lock."""
        if self._lock >= 0:
            os.close(self._lock)
        os.close(self.descriptor)

    def is_writable(self) -> bool:
        """Whether this user may create files here."""
        return os.access(".", os.W_OK | os.X_OK, dir_fd=self.descriptor)

    def free(self) -> int:
        """The bytes that this user may still write."""
        found = os.fstatvfs(self.descriptor)
        return found.f_bavail * found.f_frsize

    def sizes(self) -> Dict[str, int]:
        """The regular files that have valid names, with their sizes in bytes."""
        found = {}
        for name in os.listdir(self.descriptor):
            size = self.size(name) if _NAME.fullmatch(name) else None
            if size is not None:
                found[name] = size
        return found

    def parts(self) -> Dict[str, int]:
        """The files that are incomplete, under the names that they would get, with the bytes on disk."""
        found = {}
        for part in os.listdir(self.descriptor):
            name = part[1 : -len(".part")]
            if _NAME.fullmatch(name) and part == part_of(name) and self.size(part) is not None:
                found[name] = os.stat(part, dir_fd=self.descriptor, follow_symlinks=False).st_blocks * 512
        return found

    def size(self, name: str) -> Optional[int]:
        """The size of a regular file in bytes; None if there is none of this name."""
        try:
            found = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def exists(self, name: str) -> bool:
        """Whether there is anything of this name."""
        try:
            os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def opened(self, name: str) -> Tuple[int, int]:
        """A descriptor to read the file, and its size. Raises RequestRefused if it is no regular file."""
        try:
            descriptor = os.open(checked(name), os.O_RDONLY | _SAFE, dir_fd=self.descriptor)
        except FileNotFoundError:
            raise RequestRefused("absent", "there is no file %s" % name) from None
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise RequestRefused("refused", "%s is not a regular file" % name)
        return descriptor, found.st_size

    def opened_part(self, name: str) -> int:
        """A descriptor to read and write the incomplete file, which is created if it is not there."""
        part = part_of(checked(name))
        try:
            descriptor = os.open(part, os.O_RDWR | _SAFE, dir_fd=self.descriptor)
        except FileNotFoundError:
            return self._created(part)
        except OSError:  # a link, or a folder
            return self._replaced(part)
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid():
            return descriptor
        os.close(descriptor)
        return self._replaced(part)

    def complete(self, name: str) -> None:
        """Give the incomplete file its name, which must be free, so that this survives a power cut."""
        part = part_of(name)
        try:
            os.link(part, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor, follow_symlinks=False)
        except FileExistsError:
            raise RequestRefused("exists", "there is another file %s now" % name) from None
        os.unlink(part, dir_fd=self.descriptor)
        os.fsync(self.descriptor)

    def removed(self, name: str) -> None:
        """Remove this name, if it is there."""
        try:
            os.unlink(name, dir_fd=self.descriptor)
        except FileNotFoundError:
            return
        os.fsync(self.descriptor)

    def _created(self, part: str) -> int:
        return os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE, 0o600, dir_fd=self.descriptor)

    def _replaced(self, part: str) -> int:
        os.unlink(part, dir_fd=self.descriptor)
        return self._created(part)
