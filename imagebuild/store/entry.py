"""An entry of the store: what is recorded about it, and whether its content is still that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from imagebuild.files import content_digest, read_record

RECORD = "entry.json"
"""The record in an entry's folder."""


@dataclass(frozen=True)
class StoreEntry:
    """An entry of the store: the recipe that it was first made for, the time of its last use, and
    its size in bytes; of a file that other entries have too, only its share.
    """

    kind: str
    fingerprint: str
    folder: Path
    label: str
    used: float
    size: int


@dataclass(frozen=True)
class EntryFacts:
    """What ``entry.json`` says: for which recipe an entry was made, when (UTC, ISO 8601), from
    what; size in bytes and digest of each file (of a link, its target)."""

    label: str
    made: str
    inputs: dict[str, str]
    files: dict[str, tuple[int, str]]


def content(folder: Path, known: Path | None = None) -> Iterator[tuple[str, int, str]]:
    """Each file of an entry: its name, its size in bytes and its digest; for a link, its target.

    Hard links to files of ``known``, a verified entry, have the digests that are recorded there.
    """
    same = _digests(known) if known is not None else {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            yield name, 0, str(path.readlink())
        elif path.is_file() and name != RECORD:
            status = path.stat()
            digest = same.get((status.st_dev, status.st_ino)) if status.st_nlink > 1 else None
            yield name, status.st_size, digest or content_digest(path)


def _digests(folder: Path) -> dict[tuple[int, int], str]:
    """The recorded digests of an entry's files, by their device and inode."""
    found = {}
    for name, (_, digest) in read_record(folder / RECORD, EntryFacts).files.items():
        status = (folder / name).lstat()
        found[status.st_dev, status.st_ino] = digest
    return found


def damage(folder: Path) -> str | None:
    """What has changed in an entry since it was made; None if nothing has."""
    try:
        return difference(folder, read_record(folder / RECORD, EntryFacts).files)
    except (OSError, ValueError) as error:
        return f"{RECORD} or a file cannot be read ({error})"


def difference(folder: Path, files: Mapping[str, tuple[int, str]], *, exactly: bool = False) -> str | None:
    """What in a folder is not as recorded, None if everything is; ``exactly`` if nothing else may be in it."""
    found = {name: (size, digest) for name, size, digest in content(folder)}
    if exactly and (more := sorted(found.keys() - files.keys())):
        return f"{more[0]} does not belong to it"
    for name, recorded in files.items():
        if name not in found:
            return f"{name} is missing"
        if found[name] != recorded:
            return f"the content of {name} has changed"
    return None
