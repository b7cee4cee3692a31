"""Downloads over http and https: resumable, verified by a digest, limited in size and time.

During a download the file is called NAME.part; NAME.part.json records which version of the file it
belongs to (RFC 9110: ETag, Last-Modified, If-Range). Both remain after a failure, and the next
attempt resumes from there.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from imagebuild.errors import HostError, ImageBuildError, from_os
from imagebuild.fetch.attempts import persist, stop_all
from imagebuild.fetch.limits import BLOCK, LIMITS, LOOK, MIB, Cut, Limits, NotThere, Passing, shown
from imagebuild.fetch.partial import PartialFile, opened
from imagebuild.log import logger
from imagebuild.progress import SILENT, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from imagebuild.fetch.transfer import Answer, Take, Transfer

__all__ = [
    "LIMITS", "LOOK", "Digest", "Limits", "NotThere", "copy", "download", "reported", "shown", "stop_all", "text",
    "version",
]  # fmt: skip

_GIB = 1 << 30
_TEXT_LIMIT = 16 * MIB
_LARGEST = 64 * _GIB
"""Larger than any installation medium."""
_RESERVE = 64 * MIB
"""Bytes of disk space that a body of unknown size must leave free."""
_COMPRESSED = (".gz", ".tgz", ".xz", ".bz2", ".zst")
_HASHES = {"sha256": 64, "sha384": 96, "sha512": 128}


@dataclass(frozen=True)
class Digest:
    """The expected digest of a file: the name of a hash and its value in hexadecimal."""

    algorithm: str
    value: str

    def __post_init__(self) -> None:
        if len(self.value) != _HASHES.get(self.algorithm) or set(self.value) - set("0123456789abcdef"):
            raise ValueError(f"{self.algorithm}:{self.value} is not a digest")

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"


def text(url: str, limits: Limits = LOOK, *, largest: int = _TEXT_LIMIT) -> bytes:
    """The current content at ``url``, at most ``largest`` bytes. Raises NotThere, and HostError if
    it is unreachable.
    """
    content = bytearray()

    def check(size: int) -> None:
        if size > largest:
            raise ImageBuildError(f"{shown(url)} is larger than {largest // MIB} MiB, but a text was expected")

    def begin(answer: Answer) -> Take:
        _refuse_encoded(answer, url)
        check(answer.length or 0)
        content.clear()
        return take

    def take(block: bytes) -> None:
        content.extend(block)
        check(len(content))

    _look_up(url, limits, begin)
    return bytes(content)


def version(url: str, limits: Limits = LOOK) -> str:
    """The server's version information for the file at ``url``, which shows whether an unverified
    file has changed.
    """
    found = ""

    def begin(answer: Answer) -> None:
        nonlocal found
        found = " ".join(answer.headers.get(name, "-") for name in ("etag", "last-modified", "content-length"))

    _look_up(url, limits, begin)
    return found


_looking: ContextVar[tuple[Progress, str]] = ContextVar("looking", default=(SILENT, ""))


@contextmanager
def reported(progress: Progress, detail: str) -> Iterator[None]:
    """Report what the look-ups in the block wait for, beside ``detail``: they are many layers below
    the step that they belong to.
    """
    token = _looking.set((progress, detail))
    try:
        progress.update(detail)
        yield
    finally:
        _looking.reset(token)


def _look_up(url: str, limits: Limits, begin: Callable[[Answer], Take | None]) -> None:
    progress, detail = _looking.get()
    progress.update(detail, None, f"an answer from {shown(url)}")
    persist(url, limits, lambda transfer: transfer.get(url, {}, begin), _LOOKED_UP)
    progress.update(detail)


_LOOKED_UP = "the server's current data is needed for each build"


def download(
    url: str,
    target: Path,
    expected: Digest | None,
    progress: Progress,
    limits: Limits = LIMITS,
    *,
    largest: int = _LARGEST,
) -> None:
    """Download ``url`` to ``target``, completely and durably. Waits while another process downloads
    to the same path.

    Raises HostError if it is unreachable or the disk is full, ImageBuildError if it does not match
    ``expected`` or has more than ``largest`` bytes.
    """
    algorithm = expected.algorithm if expected else "sha256"
    hint = "run it again to resume: the downloaded part is kept"
    try:
        with opened(
            target, url, algorithm, lambda: progress.update("waiting for another process that is fetching it")
        ) as part:
            earlier = part.size > 0
            if expected is None or part.digest != expected.value:
                body = _Body(url, part, expected, progress, largest)
                persist(url, limits, body.once, hint, lambda: part.size)
                if expected is not None and part.digest != expected.value and earlier:
                    logger.info(
                        "%s: the part from an earlier attempt does not match; fetching everything again", shown(url)
                    )
                    part.discard()
                    persist(url, limits, body.once, hint, lambda: part.size)
            _finish(part, shown(url), expected)
    except OSError as error:
        raise from_os(error) from error


class _Body:
    """Writes the bytes of a download to its partial file."""

    def __init__(self, url: str, part: PartialFile, expected: Digest | None, progress: Progress, largest: int) -> None:
        self.url, self.part, self.expected = url, part, expected
        self.progress, self.largest = progress, largest
        self.name = urlsplit(url).path.rpartition("/")[2]
        self.total: int | None = None

    def once(self, transfer: Transfer) -> None:
        """Make one attempt."""
        self.total = None
        self.progress.update(self.name, None, f"an answer from {shown(self.url)}")
        try:
            transfer.get(self.url, self.part.range(), self._begin)
        except Cut as fault:
            if self.total is None:
                raise
            raise Passing(f"the connection ended after {self.part.size} of {self.total} bytes") from fault
        if self.total is not None and self.part.size != self.total:
            raise Passing(f"the connection ended after {self.part.size} of {self.total} bytes")

    def _begin(self, answer: Answer) -> Take:
        if self.expected is None:
            _refuse_encoded(answer, self.url)
        self.total = self.part.begin(answer)
        self._check_size(self.total or 0)
        _check_space(self.total, self.part)
        return self._take

    def _take(self, block: bytes) -> None:
        size = self.part.size + len(block)
        if self.total is not None and size > self.total:
            self.part.discard()
            raise Passing(f"the server sent more than the {self.total} bytes that it announced")
        self._check_size(size)
        if self.total is None:
            _check_space(None, self.part)
        self.part.add(block)
        _tell(self.progress, self.name, self.part.size, self.total, shown(self.url))

    def _check_size(self, size: int) -> None:
        if size > self.largest:
            self.part.discard()
            raise ImageBuildError(
                f"{shown(self.url)} is larger than {self.largest // MIB} MiB, the limit for such a file",
                "check the address",
            )


def copy(source: Path, target: Path, expected: Digest | None, progress: Progress) -> None:
    """Copy a file of this host to ``target``, completely and durably. See :func:`download`."""
    algorithm = expected.algorithm if expected else "sha256"
    try:
        if not stat.S_ISREG(source.stat().st_mode):
            raise ImageBuildError(f"{source} is not a regular file")
        with (
            source.open("rb") as file,
            opened(
                target,
                str(source),
                algorithm,
                lambda: progress.update("waiting for another process that is copying it"),
            ) as part,
        ):
            part.discard()
            total = os.fstat(file.fileno()).st_size
            _check_space(total, part)
            while block := file.read(BLOCK):
                part.add(block)
                _tell(progress, source.name, part.size, total)
            _finish(part, str(source), expected)
    except FileNotFoundError as error:
        raise HostError(f"no such file: {source}", "a path in a recipe is relative to the recipe's folder") from error
    except OSError as error:
        raise from_os(error) from error


def _finish(part: PartialFile, what: str, expected: Digest | None) -> None:
    """Rename the partial file if it matches ``expected``; otherwise discard it."""
    if expected is not None and part.digest != expected.value:
        found = part.digest
        part.discard()
        raise ImageBuildError(
            f"{what} does not match: its {expected.algorithm} is {found}, but {expected.value} was expected",
            (
                "it was damaged in transit or changed, or the digest belongs to another version; "
                "the download was discarded"
            ),
        )
    part.finish()


def _refuse_encoded(answer: Answer, url: str) -> None:
    """Refuse an encoded body: without a digest, nothing would show that the file was stored
    compressed.

    Some servers label a compressed file itself as encoded, so files with such a name are accepted.
    """
    encoding = answer.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity" and not urlsplit(url).path.endswith(_COMPRESSED):
        raise ImageBuildError(
            f"{shown(url)}: the server compressed its answer ({encoding[:40]}), although it was asked not to",
            "use another mirror, or give the file's digest",
        )


def _check_space(total: int | None, part: PartialFile) -> None:
    """Raise HostError if the rest does not fit, or, for a body of unknown size, if the disk is
    nearly full.
    """
    free = shutil.disk_usage(part.path.parent).free
    hint = "free some space, or choose another file system with --store"
    if total is not None and total - part.size > free:
        raise HostError(
            f"{part.path.parent} has {free // MIB} MiB free, but {(total - part.size) // MIB} MiB are still missing",
            hint,
        )
    if total is None and free < _RESERVE:
        size = part.size
        part.discard()  # the size of the rest is unknown
        raise HostError(
            f"{part.path.parent} has {free // MIB} MiB free after {size // MIB} MiB of a file whose size is unknown",
            hint,
        )


def _tell(progress: Progress, name: str, size: int, total: int | None, source: str = "") -> None:
    """Report a download or a copy; ``source`` is where further bytes come from."""
    waiting = f"bytes from {source}" if source else ""
    if total:
        progress.update(f"{name}: {size // MIB} of {total // MIB} MiB", size / total, waiting)
    else:
        progress.update(f"{name}: {size // MIB} MiB", None, waiting)
