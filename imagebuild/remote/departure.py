"""Describes a folder as an entry, and sends the chunks that a remote store does not have yet."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.remote import chunks
from imagebuild.remote.bounded import Deadline, each
from imagebuild.remote.entry_record import RemoteFile, RemoteRecord, chunk_name
from imagebuild.remote.place import RemotePlace
from imagebuild.store.entry import RECORD, EntryFacts

_PERMISSIONS = 0o755


def described(kind: str, fingerprint: str, folder: Path, facts: EntryFacts) -> RemoteRecord:
    """The record of an entry. Raises ImageBuildError for an entry with links or special files."""
    folders, files = {".": stat.S_IMODE(folder.stat().st_mode) & _PERMISSIONS}, []
    for path in sorted(folder.rglob("*")):
        name, status = str(path.relative_to(folder)), path.lstat()
        if name == RECORD:
            continue
        if stat.S_ISDIR(status.st_mode):
            folders[name] = stat.S_IMODE(status.st_mode) & _PERMISSIONS
        elif stat.S_ISREG(status.st_mode):
            files.append(_file(path, name, status, facts.files[name][1]))
        else:
            raise ImageBuildError(f"{path} is a link or a special file, and cannot be pushed")
    modified = max(0.0, folder.stat().st_mtime)
    inputs = dict(facts.inputs)
    return RemoteRecord(
        kind, fingerprint, facts.label, facts.made, modified, inputs, chunks.CHUNK, folders, tuple(files)
    )


def _file(path: Path, name: str, status: os.stat_result, digest: str) -> RemoteFile:
    found = tuple((number, chunks.digest(content)) for number, content in chunks.chunks(path))
    mode = stat.S_IMODE(status.st_mode) & _PERMISSIONS
    return RemoteFile(name, status.st_size, mode, max(0.0, status.st_mtime), digest, found)


def depart(
    place: RemotePlace,
    record: RemoteRecord,
    folder: Path,
    deadline: Deadline,
    sent: Callable[[int, int], None],
    again: Collection[str] = (),
) -> None:
    """Send the chunks that are not there, and those in ``again`` whether they are there or not. ``sent`` is
    called with the bytes that were sent of a chunk (0 if it was there), and with those that it has.

    Raises HostError if the place cannot be used, or a file has changed meanwhile.
    """
    lengths: dict[str, int] = {}

    def wanted() -> Iterator[tuple[Path, int, int, str]]:
        for file in record.files:
            for number, digest in file.chunks:
                if digest not in lengths:
                    lengths[digest] = record.length(file, number)
                    yield folder / file.name, number * record.chunk, lengths[digest], digest

    def send(one: tuple[Path, int, int, str]) -> None:
        path, offset, length, digest = one
        name = chunk_name(digest)
        if digest not in again and place.size(name):
            sent(0, length)
            return
        with path.open("rb", buffering=0) as file:
            content = os.pread(file.fileno(), length, offset)
        if chunks.digest(content) != digest:
            raise HostError(f"{path} has changed while it was pushed", "does something else write to the store?")
        stored = chunks.packed(content)
        place.write(name, stored)
        sent(len(stored), length)

    each(deadline, place.threads, wanted(), send)
