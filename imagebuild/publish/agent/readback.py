"""Hashes what is on the disk, not what is in memory: written pages leave the cache before they are read."""

import hashlib
import os
import threading
from typing import Callable, List, Optional

BLOCK = 1 << 20
_STEP = 16 << 20
"""Bytes that must be there before they are written out and read back."""
_PAGE = 1 << 16
"""No page of any system is larger."""


def digest(descriptor: int, size: int, progress: Callable[[int], None]) -> str:
    """The SHA-256 of a file's first ``size`` bytes, read from the disk."""
    os.fdatasync(descriptor)  # a page that is not written cannot leave the cache
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    hasher, at = hashlib.sha256(), 0
    while at < size:
        block = os.pread(descriptor, min(BLOCK, size - at), at)
        if not block:
            break
        hasher.update(block)
        at += len(block)
        progress(at)
    return hasher.hexdigest()


def pieces(descriptor: int, size: int, length: int, progress: Callable[[int], None]) -> bytes:
    """The SHA-256 of each complete piece of ``length`` bytes (and of the last one), one after another."""
    found = b""
    for at in range(0, size, length):
        block = os.pread(descriptor, min(length, size - at), at)
        found += hashlib.sha256(block).digest()
        progress(at)
    return found


class ReadBack(threading.Thread):
    """Reads a file back while it is still being written, in order."""

    def __init__(self, descriptor: int, size: int) -> None:
        threading.Thread.__init__(self)
        self.daemon = True
        self.at = 0
        """Bytes that have been read."""
        self._descriptor = os.dup(descriptor)
        self._size = size
        self._known = 0
        self._stopped = False
        self._changed = threading.Condition()
        self._hasher = hashlib.sha256()
        self._failed: List[OSError] = []
        self.start()

    def advance(self, known: int) -> None:
        """The first ``known`` bytes of the file are written, and will not be written again."""
        with self._changed:
            self._known = known
            self._changed.notify()

    def result(self, seconds: float) -> Optional[str]:
        """The digest; None if it takes longer than this. Raises OSError if the disk failed."""
        self.advance(self._size)
        self.join(seconds)
        if self.is_alive():
            return None
        if self._failed:
            raise self._failed[0]
        return self._hasher.hexdigest()

    def stop(self) -> None:
        """The digest is not wanted any more."""
        self._stopped = True
        self.advance(self._size)

    def run(self) -> None:
        """Follow the writer."""
        try:
            while self.at < self._size and not self._stopped:
                self._read(self._next())
        except OSError as error:
            self._failed.append(error)
        finally:
            os.close(self._descriptor)

    def _next(self) -> int:
        with self._changed:
            while self._known < self._size and self._known - self.at < _STEP:
                self._changed.wait()
            return self._size if self._known >= self._size else self._known // _PAGE * _PAGE

    def _read(self, end: int) -> None:
        if self._stopped:
            return
        os.fdatasync(self._descriptor)
        os.posix_fadvise(self._descriptor, self.at, end - self.at, os.POSIX_FADV_DONTNEED)
        while self.at < end and not self._stopped:
            block = os.pread(self._descriptor, min(BLOCK, end - self.at), self.at)
            if not block:
                raise OSError(5, "the file became shorter")
            self._hasher.update(block)
            self.at += len(block)
