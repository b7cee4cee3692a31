"""Files that are either complete or absent: written to a temporary file, fsynced, renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Record = TypeVar("Record")

_BLOCK = 1 << 20
_ZEROES = bytes(_BLOCK)
_RANDOM = 8
"""Characters that mkstemp(3) appends to a name."""


def write_atomically(path: Path, content: str | bytes, mode: int = 0o644, *, durable: bool = True) -> None:
    """Replace ``path`` with ``content`` so that every reader sees the old or the new, even after a
    power cut. What is not ``durable`` may be lost in one, and is written without waiting for the disk.

    Raises FileExistsError for a device, a pipe or a socket: root could replace even /dev/null.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise FileExistsError(errno.EEXIST, "a device, pipe or socket is not replaced by a file", str(path))
    data = content.encode() if isinstance(content, str) else content
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    aside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if durable:
                os.fsync(file.fileno())
        aside.rename(path)
    except BaseException:
        with suppress(FileNotFoundError):
            aside.unlink()
        raise
    if durable:
        sync(path.parent)


def remove_unfinished(folder: Path, *names: str) -> None:
    """Remove what killed processes left of :func:`write_atomically`; ``names`` are patterns of the files' names.

    The caller must know that nobody else writes such files there.
    """
    for name in names:
        for left in folder.glob(f".{name}.{'?' * _RANDOM}"):
            left.unlink(missing_ok=True)


def write_result(path: Path, content: str | bytes) -> None:
    """Write a file that the user of a command named: a device or a pipe, such as ``/dev/stdout``, is
    written to and stays what it is; anything else is replaced by :func:`write_atomically`.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    else:
        write_atomically(path, content)


def write_record(path: Path, record: Any, mode: int = 0o644) -> None:
    """Write a dataclass as JSON, atomically, for :func:`read_record`."""
    write_atomically(path, json.dumps(asdict(record), indent=1, sort_keys=True, default=str) + "\n", mode)


def read_record(path: Path, kind: type[Record]) -> Record:
    """The dataclass ``kind`` that a JSON file holds; fields that it does not know are left out.

    Raises OSError, and ValueError for what is no such record.
    """
    # not validate_json: names of files that are no UTF-8 are lone surrogates, which only Python's parser takes
    any_kind: Any = kind  # mypy: a class is hashable
    record: Record = _validator(any_kind).validate_python(json.loads(_regular_text(path)))
    return record


def _regular_text(path: Path) -> str:
    """The text of a file, which may be foreign: a pipe must not make the reader wait."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), encoding="utf-8") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"{path} is not a regular file")
        return file.read()


@cache
def _validator(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter  # takes its time, and not every command reads a record

    return TypeAdapter(kind)


def sync(path: Path) -> None:
    """fsync a file's content, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """fsync every file and name below ``folder``."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            if path.is_symlink():
                continue
            sync(path)
        sync(Path(parent))


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_tree(folder: Path) -> None:
    """Remove a folder and everything in it, if it exists; a file or a link is removed by itself,
    without its target.
    """
    with suppress(FileNotFoundError):
        if folder.is_symlink() or not folder.is_dir():
            folder.unlink()
        else:
            shutil.rmtree(folder)


def content_digest(path: Path) -> str:
    """A digest of the file's content, in hexadecimal, that does not read holes.

    It is the SHA-256 of the file's size and of all blocks that are not zero, each with its offset.
    """
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(size.to_bytes(8))
        at = 0
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA) // _BLOCK * _BLOCK
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break  # a hole up to the end
            block = os.pread(file.fileno(), _BLOCK, at)
            if not block:
                break
            if block != _ZEROES[: len(block)]:
                digest.update(at.to_bytes(8))
                digest.update(block)
            at += _BLOCK
    return digest.hexdigest()


def allocated(path: Path) -> int:
    """The bytes that a file occupies on its file system, without holes."""
    return path.stat().st_blocks * 512


def share(path: Path) -> int:
    """The bytes that a file occupies, divided by the number of its names: each of these has a part of it."""
    status = path.stat()
    return status.st_blocks * 512 // status.st_nlink


def is_utf8(name: str) -> bool:
    """Whether a file name is UTF-8.

    Python decodes other bytes as surrogates, which libguestfs does not accept.
    """
    return not any("\udc80" <= char <= "\udcff" for char in name)
