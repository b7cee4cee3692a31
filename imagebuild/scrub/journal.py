"""The journal of a scrub: the planned changes to the images, written down before the first of them
is changed.

It contains no file names. The new files have fixed names in the workshop, and the images are those
of the command line: the journal only records how to recognise them.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imagebuild.host.ownership import why_not_private
from imagebuild.image.disk_image import Format
from imagebuild.scrub.workshop import JOURNAL, Workshop, distrusted

Task = Literal["swap", "overwrite"]
"""Rename the new file to the name of the image, or copy its bytes into the image file."""

_ASIDE = f".{JOURNAL}"
_LIMIT = 64 << 10
"""The size limit in bytes: a journal for a hundred disks is smaller."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FileIdentity(_Strict):
    """What distinguishes a file from others on its file system. The device number is left out
    because it may change at a restart."""

    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileIdentity:
        """The identity of the file that ``status`` describes."""
        return cls(inode=status.st_ino, size=status.st_size, mtime_ns=status.st_mtime_ns)


class ReplacedImage(_Strict):
    """An image in its original state, and the new file for it."""

    image: FileIdentity
    done: FileIdentity


class Journal(_Strict):
    """What to do with each disk, in their order."""

    version: Literal[1] = 1
    task: Task
    format: Format
    disks: tuple[ReplacedImage, ...] = Field(min_length=1, max_length=100)


def read(work: Workshop) -> Journal:
    """The journal in the folder. Raises HostError for one that was not written by this user's
    imagebuild."""
    try:
        status = os.stat(JOURNAL, dir_fd=work.descriptor, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise distrusted(work.path, f"its {JOURNAL} is not a regular file")
        descriptor = os.open(
            JOURNAL, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=work.descriptor
        )
    except OSError as error:
        raise distrusted(work.path, f"its {JOURNAL} cannot be read: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if why := why_not_private(status):
            raise distrusted(work.path, f"its {JOURNAL} {why}")
        if status.st_nlink != 1 or status.st_size > _LIMIT:
            raise distrusted(work.path, f"its {JOURNAL} has several hard links, or is too large to be imagebuild's")
        content = file.read(_LIMIT)
    try:
        return Journal.model_validate_json(content)
    except ValidationError as error:
        raise distrusted(work.path, f"its {JOURNAL} is not in imagebuild's format") from error


def write(work: Workshop, journal: Journal) -> None:
    """Make the journal durable: from here on the task will be completed, by this run or by the next
    one."""
    with suppress(FileNotFoundError):
        os.unlink(_ASIDE, dir_fd=work.descriptor)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(_ASIDE, flags, 0o600, dir_fd=work.descriptor), "wb") as file:
        file.write(journal.model_dump_json().encode())
        file.flush()
        os.fchmod(file.fileno(), 0o600)
        os.fsync(file.fileno())
    os.rename(_ASIDE, JOURNAL, src_dir_fd=work.descriptor, dst_dir_fd=work.descriptor)
    os.fsync(work.descriptor)


def remove(work: Workshop) -> None:
    """Remove the journal, because the task is done."""
    os.unlink(JOURNAL, dir_fd=work.descriptor)
    os.fsync(work.descriptor)
