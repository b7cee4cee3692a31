"""A partially downloaded file, and the data that the next attempt needs to resume it."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from imagebuild.fetch.limits import BLOCK, Passing
from imagebuild.files import read_record, sync, write_record
from imagebuild.host import locks

if TYPE_CHECKING:
    from imagebuild.fetch.transfer import Answer

_CLOCKS_DIFFER = 60.0
"""Seconds by which Last-Modified must be older than Date for it to tell two versions apart (RFC
2616, 13.3.3).
"""


@contextmanager
def opened(target: Path, url: str, algorithm: str, wait: Callable[[], None]) -> Iterator[PartialFile]:
    """The partial file of ``target``, for one process at a time: ``wait`` is called while another
    process has it.

    A partial file that cannot be resumed is removed at the end.
    """
    path = target.with_name(f"{target.name}.part")
    while (descriptor := _locked(path)) is None:
        wait()
        time.sleep(0.2)
    with open(descriptor, "r+b", buffering=0) as file:  # noqa: PTH123 - a descriptor
        part = PartialFile(target, path, file.fileno(), url, algorithm)
        try:
            part.take_up()
            yield part
        finally:
            part.leave()


def _locked(path: Path) -> int | None:
    """A descriptor of the locked file; None while another process has the lock, or has just renamed
    the file.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if locks.free(descriptor) and locks.is_still(descriptor, path):
        return descriptor
    os.close(descriptor)
    return None


@dataclass(frozen=True)
class _About:
    """Which version of which file the bytes are of; ``total`` is its size in bytes, if the server announced it."""

    url: str
    validator: str
    total: int | None = None


class PartialFile:
    """NAME.part, which will become the file NAME in the same folder, with its current size in bytes
    and digest.

    NAME.part.json records the version of the file: its validator (RFC 9110, 8.8) and its total
    size.
    """

    def __init__(self, target: Path, path: Path, descriptor: int, url: str, algorithm: str) -> None:
        self.target, self.path, self.url = target, path, url
        self._about = target.with_name(f"{target.name}.part.json")
        self._descriptor = descriptor
        self._algorithm = algorithm
        self._finished = False
        self._forget()

    def _forget(self) -> None:
        self.size = 0
        self._hash = hashlib.new(self._algorithm)
        self._validator = ""
        self._total: int | None = None

    @property
    def digest(self) -> str:
        """The digest of the current content, in hexadecimal."""
        return self._hash.hexdigest()

    def take_up(self) -> None:
        """Resume the partial file of an earlier attempt, if its version was recorded."""
        with suppress(OSError, ValueError):
            about = read_record(self._about, _About)
            if about.url == self.url and about.validator:
                while block := os.read(self._descriptor, BLOCK):
                    self._count(block)
                self._validator, self._total = about.validator, about.total
                return
        self.discard()

    def range(self) -> dict[str, str]:
        """The headers that request the rest, or the whole file if it has changed."""
        return {"Range": f"bytes={self.size}-", "If-Range": self._validator} if self.size and self._validator else {}

    def begin(self, answer: Answer) -> int | None:
        """Prepare for the body of an answer. Returns the total size of the file, if the server
        announces it.
        """
        if answer.status == 200:
            return self._begin_again(answer)
        if not self._goes_on(answer):
            self.discard()
            raise Passing("the server did not send the missing part")
        return self._total

    def _goes_on(self, answer: Answer) -> bool:
        """Whether these are the next bytes of the same version, as If-Range requests; not every
        server honours it.
        """
        found = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})", answer.headers.get("content-range", ""))
        if answer.status != 206 or found is None or not self.range():
            return False
        header = "etag" if self._validator.startswith('"') else "last-modified"
        same = answer.headers.get(header) == self._validator and self._total in (None, int(found[2]))
        if same and int(found[1]) == self.size:
            self._total = int(found[2])
            return True
        return False

    def _begin_again(self, answer: Answer) -> int | None:
        self.discard()
        self._validator, self._total = _strong_validator(answer), answer.length
        # the address may contain a password
        write_record(self._about, _About(self.url, self._validator, self._total), mode=0o600)
        return self._total

    def add(self, block: bytes) -> None:
        """Append bytes."""
        rest = memoryview(block)
        while rest:
            written = os.write(self._descriptor, rest)
            self._count(rest[:written])
            rest = rest[written:]

    def _count(self, block: bytes | memoryview) -> None:
        self._hash.update(block)
        self.size += len(block)

    def discard(self) -> None:
        """Empty the file. It is not removed, because it is locked."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._about.unlink(missing_ok=True)
        self._forget()

    def finish(self) -> None:
        """Rename the file to its final name, durably."""
        os.fchmod(self._descriptor, 0o644)
        os.fsync(self._descriptor)
        self.path.rename(self.target)
        self._finished = True
        self._about.unlink(missing_ok=True)
        sync(self.target.parent)

    def leave(self) -> None:
        """Remove the file if it cannot be resumed."""
        if not self._finished and not self.range():
            self.path.unlink(missing_ok=True)
            self._about.unlink(missing_ok=True)


def _strong_validator(answer: Answer) -> str:
    """A strong validator of this version, or an empty text: a weak tag does not guarantee the same
    bytes.
    """
    tag, modified = answer.headers.get("etag", ""), answer.headers.get("last-modified", "")
    if tag.startswith('"'):
        return tag
    with suppress(ValueError, TypeError):
        age = parsedate_to_datetime(answer.headers.get("date", "")) - parsedate_to_datetime(modified)
        return modified if age.total_seconds() >= _CLOCKS_DIFFER else ""
    return ""
