"""Downloads over http and https: resumable, checked by a digest, bounded in size and time.

While a file is being downloaded it is called NAME.part; NAME.part.json says which version of the file it is a part
of (RFC 9110: ETag, Last-Modified, If-Range). Both stay after a failure, and the next attempt goes on from there.
"""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from imagebuild.errors import HostError, ImageBuildError, from_os
from imagebuild.fetch.attempts import persist, stop_all
from imagebuild.fetch.limits import BLOCK, LIMITS, LOOK, MIB, Cut, Limits, NotThere, Passing, shown
from imagebuild.fetch.partial import PartialFile, opened
from imagebuild.log import logger
from imagebuild.progress import Progress

if TYPE_CHECKING:
    from imagebuild.fetch.transfer import Answer, Take, Transfer

__all__ = ["LIMITS", "Digest", "Limits", "NotThere", "copy", "download", "shown", "stop_all", "text", "version"]

_GIB = 1 << 30
_TEXT_LIMIT = 16 * MIB
_LARGEST = 64 * _GIB
"""Larger than every installation medium."""
_RESERVE = 64 * MIB
"""Bytes of disk space that a body of unknown size leaves free."""
_COMPRESSED = (".gz", ".tgz", ".xz", ".bz2", ".zst")
_HASHES = {"sha256": 64, "sha384": 96, "sha512": 128}


@dataclass(frozen=True)
class Digest:
    """What a file must be, to the bit: the name of a hash and its value in hexadecimal."""

    algorithm: str
    value: str

    def __post_init__(self) -> None:
        if len(self.value) != _HASHES.get(self.algorithm) or set(self.value) - set("0123456789abcdef"):
            raise ValueError(f"{self.algorithm}:{self.value} is no digest")

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"


def text(url: str, limits: Limits = LOOK, *, largest: int = _TEXT_LIMIT) -> bytes:
    """What is at ``url`` now, at most ``largest`` bytes. Raises NotThere, and HostError when it is out of reach."""
    content = bytearray()

    def check(size: int) -> None:
        if size > largest:
            raise ImageBuildError(f"{shown(url)} has more than {largest // MIB} MiB: a text was expected")

    def begin(answer: Answer) -> Take:
        _refuse_encoded(answer, url)
        check(answer.length or 0)
        content.clear()
        return take

    def take(block: bytes) -> None:
        content.extend(block)
        check(len(content))

    persist(url, limits, lambda transfer: transfer.get(url, {}, begin), _LOOKED_UP)
    return bytes(content)


def version(url: str, limits: Limits = LOOK) -> str:
    """What the server says of the version of the file at ``url``: all that shows whether an unverified file changed."""
    found = ""

    def begin(answer: Answer) -> None:
        nonlocal found
        found = " ".join(answer.headers.get(name, "-") for name in ("etag", "last-modified", "content-length"))

    persist(url, limits, lambda transfer: transfer.get(url, {}, begin), _LOOKED_UP)
    return found


_LOOKED_UP = "what may change on a server is looked up anew for each build"


def download(
    url: str,
    target: Path,
    expected: Digest | None,
    progress: Progress,
    limits: Limits = LIMITS,
    *,
    largest: int = _LARGEST,
) -> None:
    """Put what is at ``url`` at ``target``, whole and durable. Waits while another process downloads to the same place.

    Raises HostError when it is out of reach or the disk is full, ImageBuildError when it is not what ``expected`` says or
    has more than ``largest`` bytes.
    """
    algorithm = expected.algorithm if expected else "sha256"
    hint = "run it again: what was downloaded is kept, and the rest is fetched then"
    try:
        with opened(target, url, algorithm, lambda: progress.update("another process is fetching it")) as part:
            earlier = part.size > 0
            if expected is None or part.digest != expected.value:
                body = _Body(url, part, expected, progress, largest)
                persist(url, limits, body.once, hint, lambda: part.size)
                if expected is not None and part.digest != expected.value and earlier:
                    logger.info("%s: what an earlier attempt left does not fit; fetching all of it again", shown(url))
                    part.discard()
                    persist(url, limits, body.once, hint, lambda: part.size)
            _finish(part, shown(url), expected)
    except OSError as error:
        raise from_os(error) from error


class _Body:
    """The bytes of a download on their way into its part."""

    def __init__(self, url: str, part: PartialFile, expected: Digest | None, progress: Progress, largest: int) -> None:
        self.url, self.part, self.expected = url, part, expected
        self.progress, self.largest = progress, largest
        self.name = urlsplit(url).path.rpartition("/")[2]
        self.total: int | None = None

    def once(self, transfer: Transfer) -> None:
        """One attempt."""
        self.total = None
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
            raise Passing(f"the server sends more than the {self.total} bytes that it announced")
        self._check_size(size)
        if self.total is None:
            _check_space(None, self.part)
        self.part.add(block)
        _tell(self.progress, self.name, self.part.size, self.total)

    def _check_size(self, size: int) -> None:
        if size > self.largest:
            self.part.discard()
            raise ImageBuildError(
                f"{shown(self.url)} has more than {self.largest // MIB} MiB, more than such a file can have",
                "is it the right address?",
            )


def copy(source: Path, target: Path, expected: Digest | None, progress: Progress) -> None:
    """Put a file of this host at ``target``, whole and durable; raises as :func:`download` does."""
    algorithm = expected.algorithm if expected else "sha256"
    try:
        if not stat.S_ISREG(source.stat().st_mode):
            raise ImageBuildError(f"{source} is not a regular file")
        with (
            source.open("rb") as file,
            opened(target, str(source), algorithm, lambda: progress.update("another process is copying it")) as part,
        ):
            part.discard()
            total = os.fstat(file.fileno()).st_size
            _check_space(total, part)
            while block := file.read(BLOCK):
                part.add(block)
                _tell(progress, source.name, part.size, total)
            _finish(part, str(source), expected)
    except FileNotFoundError as error:
        raise HostError(
            f"there is no file {source}", "a path in a recipe is relative to the recipe's folder"
        ) from error
    except OSError as error:
        raise from_os(error) from error


def _finish(part: PartialFile, what: str, expected: Digest | None) -> None:
    """Give the file its name if it is what it should be; otherwise nothing of it is kept."""
    if expected is not None and part.digest != expected.value:
        found = part.digest
        part.discard()
        raise ImageBuildError(
            f"{what} is not what was expected: its {expected.algorithm} is {found}, and should be {expected.value}",
            "damaged on the way, changed, or a digest of another version; nothing of it was kept",
        )
    part.finish()


def _refuse_encoded(answer: Answer, url: str) -> None:
    """Without a digest nothing would show that a file was stored compressed.

    Some servers label a compressed file itself as encoded, so its name decides.
    """
    encoding = answer.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity" and not urlsplit(url).path.endswith(_COMPRESSED):
        raise ImageBuildError(
            f"{shown(url)}: the server compresses what it sends ({encoding[:40]}), which it was asked not to do",
            "use another mirror, or give the file's digest",
        )


def _check_space(total: int | None, part: PartialFile) -> None:
    """Raise HostError where the rest does not fit, or, of a body of unknown size, not even a little more."""
    free = shutil.disk_usage(part.path.parent).free
    hint = "free some space, or choose another file system with --store"
    if total is not None and total - part.size > free:
        raise HostError(
            f"{part.path.parent} has {free // MIB} MiB free; {(total - part.size) // MIB} MiB are to come", hint
        )
    if total is None and free < _RESERVE:
        size = part.size
        part.discard()  # nobody knows how much more there is
        raise HostError(
            f"{part.path.parent} has {free // MIB} MiB free after {size // MIB} MiB of a file whose size is unknown",
            hint,
        )


def _tell(progress: Progress, name: str, size: int, total: int | None) -> None:
    if total:
        progress.update(f"{name}: {size // MIB} of {total // MIB} MiB", size / total)
    else:
        progress.update(f"{name}: {size // MIB} MiB")
