"""Downloads over http and https: resumable, proved by a digest, and never hanging.

While a file is being downloaded it is called NAME.part; NAME.part.json says which version of the file it is a part
of (RFC 9110: ETag, Last-Modified, If-Range). Both stay after a failure, and the next attempt goes on from there.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from imagebuild.errors import HostError, ImageBuildError, from_os
from imagebuild.fetch.attempts import persist, stop_all
from imagebuild.fetch.limits import BLOCK, LIMITS, Limits, NotThere, Passing, shown
from imagebuild.fetch.partial import Part
from imagebuild.log import logger
from imagebuild.progress import Progress

if TYPE_CHECKING:
    from imagebuild.fetch.transfer import Transfer

__all__ = ["LIMITS", "Digest", "Limits", "NotThere", "copy", "download", "shown", "stop_all", "text", "version"]

_MIB = 1 << 20
_TEXT_LIMIT = 16 * _MIB
LOOK = Limits(attempts=3)
"""For a look at what a server has: somebody waits for the answer."""
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


def text(url: str, limits: Limits = LOOK) -> bytes:
    """What is at ``url`` now, at most 16 MiB. Raises NotThere, and HostError when it is out of reach."""

    def once(transfer: Transfer) -> bytes:
        with transfer.opened(url, {}) as answer:
            content = bytearray()
            for block in transfer.blocks(answer):
                content += block
                if len(content) > _TEXT_LIMIT:
                    raise ImageBuildError(f"{shown(url)} has more than {_TEXT_LIMIT // _MIB} MiB: a text was expected")
            return bytes(content)

    return persist(url, limits, once, "what may change on a server is looked up anew for each build")


def version(url: str, limits: Limits = LOOK) -> str:
    """What the server says of the version of the file at ``url``: all that tells whether an unverified file changed."""

    def once(transfer: Transfer) -> str:
        with transfer.opened(url, {}) as answer:
            return " ".join(answer.headers.get(name, "-") for name in ("ETag", "Last-Modified", "Content-Length"))

    return persist(url, limits, once, "what may change on a server is looked up anew for each build")


def download(url: str, target: Path, expected: Digest | None, progress: Progress, limits: Limits = LIMITS) -> None:
    """Put what is at ``url`` at ``target``, whole and durable. For one caller at a time and ``target``.

    Raises HostError when it is out of reach or the disk is full, ImageBuildError when it is not what ``expected`` says.
    """
    part = Part(target, url, expected.algorithm if expected else "sha256")
    part.take_up()
    earlier = part.size > 0
    if expected is not None and part.digest == expected.value:
        part.finish()
        return

    def once(transfer: Transfer) -> None:
        with transfer.opened(url, part.range()) as answer:
            total = part.begin(answer)
            _check_space(total, part)
            with part.path.open("ab") as file:
                for block in transfer.blocks(answer):
                    file.write(block)
                    part.add(block)
                    _tell(progress, url, part.size, total)
        if total is not None and part.size != total:
            raise Passing(f"the connection ended after {part.size} of {total} bytes")

    hint = "run it again: what was downloaded is kept, and the rest is fetched then"
    try:
        persist(url, limits, once, hint, lambda: part.size)
        if expected is not None and part.digest != expected.value and earlier:
            logger.info("%s: what an earlier attempt left does not fit; the whole is fetched anew", shown(url))
            part.discard()
            persist(url, limits, once, hint, lambda: part.size)
        if expected is not None and part.digest != expected.value:
            found = part.digest
            part.discard()
            raise wrong_digest(shown(url), expected, found)
        part.finish()
    except OSError as error:
        raise from_os(error) from error


def copy(source: Path, target: Path, expected: Digest | None, progress: Progress) -> None:
    """Put a file of this host at ``target``, whole and durable; raises as :func:`download` does."""
    part = Part(target, str(source), expected.algorithm if expected else "sha256")
    part.discard()
    try:
        with source.open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            _check_space(total, part)
            with part.path.open("wb") as out:
                while block := file.read(BLOCK):
                    out.write(block)
                    part.add(block)
                    _tell(progress, source.name, part.size, total)
        if expected is not None and part.digest != expected.value:
            raise wrong_digest(str(source), expected, part.digest)
        part.finish()
    except FileNotFoundError as error:
        raise HostError(
            f"there is no file {source}", "a path in a recipe is relative to the recipe's folder"
        ) from error
    except OSError as error:
        raise from_os(error) from error
    finally:
        part.discard()


def wrong_digest(what: str, expected: Digest, found: str) -> ImageBuildError:
    """The error for a file that is not what it should be."""
    return ImageBuildError(
        f"{what} is not what was expected: its {expected.algorithm} is {found}, and should be {expected.value}",
        "damaged on the way, changed, or a digest of another version; nothing of it was kept",
    )


def _check_space(total: int | None, part: Part) -> None:
    free = shutil.disk_usage(part.path.parent).free
    if total is not None and total - part.size > free:
        raise HostError(
            f"{part.path.parent} has {free // _MIB} MiB free; {(total - part.size) // _MIB} MiB are to come",
            "free some space, or choose another file system with --store",
        )


def _tell(progress: Progress, url: str, size: int, total: int | None) -> None:
    name = urlsplit(url).path.rpartition("/")[2]
    if total:
        progress.update(f"{name}: {size // _MIB} of {total // _MIB} MiB", size / total)
    else:
        progress.update(f"{name}: {size // _MIB} MiB")
