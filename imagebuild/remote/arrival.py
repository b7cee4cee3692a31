"""Fetches the files of an entry into a folder, chunk by chunk, and verifies each.

What an interrupted attempt left in the folder is used again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from imagebuild.files import allocated, remove_tree
from imagebuild.remote import chunks
from imagebuild.remote.bounded import Deadline, each
from imagebuild.remote.entry_record import RefusedEntry, RemoteFile, RemoteRecord, chunk_name
from imagebuild.remote.place import RemotePlace, TooLarge


class DamagedChunk(RefusedEntry):
    """A chunk is missing or has another content; ``digest`` is the one that it should have."""

    def __init__(self, message: str, digest: str) -> None:
        super().__init__(message)
        self.digest = digest


class _Wanted(NamedTuple):
    number: int
    digest: str


def arrive(
    place: RemotePlace, record: RemoteRecord, folder: Path, deadline: Deadline, received: Callable[[int, int], None]
) -> None:
    """Fill ``folder`` with the files of an entry. ``received`` is called with the bytes that a chunk took on
    the way, and with those that it has.

    Raises RefusedEntry, and HostError if the place cannot be used.
    """
    _clear(folder, record)
    for name in sorted(record.folders):
        (folder / name).mkdir(exist_ok=True, mode=0o700)
    for file in record.files:
        _arrive(place, record, file, folder / file.name, deadline, received)
    for name, mode in sorted(record.folders.items(), reverse=True):
        (folder / name).chmod(mode)


def _arrive(
    place: RemotePlace,
    record: RemoteRecord,
    file: RemoteFile,
    path: Path,
    deadline: Deadline,
    received: Callable[[int, int], None],
) -> None:
    begun = path.exists() and allocated(path) > 0
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, file.size)

        def wanted() -> Iterator[_Wanted]:
            for number, digest in file.chunks:
                length, at = record.length(file, number), number * record.chunk
                if not begun or chunks.digest(os.pread(descriptor, length, at)) != digest:
                    yield _Wanted(number, digest)

        def fetch(one: _Wanted) -> None:
            length = record.length(file, one.number)
            stored = _stored(place, one.digest, length)
            try:
                content = chunks.unpacked(stored, length, one.digest)
            except ValueError as error:
                raise DamagedChunk(f"a part of {file.name} is damaged: {error}", one.digest) from error
            chunks.write_sparse(path, one.number * record.chunk, content)
            received(len(stored), length)

        each(deadline, place.threads, wanted(), fetch)
        os.fchmod(descriptor, file.mode)
        os.utime(descriptor, (file.modified, file.modified))
    finally:
        os.close(descriptor)


def _stored(place: RemotePlace, digest: str, length: int) -> bytes:
    try:
        stored = place.read(chunk_name(digest), chunks.most_packed(length))
    except TooLarge as error:
        raise DamagedChunk("a part of it is larger than it can be", digest) from error
    if stored is None:
        raise DamagedChunk("a part of it is missing", digest)
    return stored


def _clear(folder: Path, record: RemoteRecord) -> None:
    """Remove what does not belong to the entry, or is not what it was: from an attempt with another record."""
    files = {file.name: file for file in record.files}
    for path in sorted(folder.rglob("*"), reverse=True):
        name = str(path.relative_to(folder))
        is_file = path.is_file() and not path.is_symlink()
        wanted = name in record.folders if path.is_dir() and not path.is_symlink() else is_file and name in files
        # a shorter or longer file would keep blocks where the record has zeros
        if not wanted or (is_file and path.stat().st_size != files[name].size):
            remove_tree(path)


def check(
    place: RemotePlace, record: RemoteRecord, deadline: Deadline, received: Callable[[int, int], None]
) -> Iterator[DamagedChunk]:
    """The chunks of an entry that are missing or damaged; everything is read, nothing is kept."""
    lengths = {digest: record.length(file, number) for file in record.files for number, digest in file.chunks}
    found: list[DamagedChunk] = []

    def look(digest: str) -> None:
        try:
            stored = _stored(place, digest, lengths[digest])
            chunks.unpacked(stored, lengths[digest], digest)
            received(len(stored), lengths[digest])
        except DamagedChunk as error:
            found.append(error)
        except ValueError as error:
            found.append(DamagedChunk(f"a part of it is damaged: {error}", digest))

    each(deadline, place.threads, lengths, look)
    yield from found
