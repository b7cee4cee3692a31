"""The record of an entry at a remote store, and its seal.

The first line is a JSON object with the seal: ``mac`` is the HMAC-SHA256 (RFC 2104) with the project's
key over the kind, the fingerprint and all bytes of the second line, which is the record as JSON. So a
record is valid for one entry only. ``key`` names the key without saying anything about it.

A MAC and no signature: every machine that builds both takes and gives entries, so each of them has to
have a secret anyway, and what leaves the project (artifacts) is signed separately, by imagebuild.trust.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from imagebuild.errors import ImageBuildError
from imagebuild.remote import chunks

FORMAT = 1
LARGEST = 64 << 20
"""Bytes of a record: a TiB of data has 4 million chunks, and is refused."""
_MOST_FILES = 10_000
_LARGEST_FILE = 16 << 40
_MOST_DATA = 1 << 40
_KIND = re.compile(r"[a-z][a-z-]{0,31}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9._+@%-]{1,200}")
_PERMISSIONS = 0o755


class RefusedEntry(ImageBuildError):
    """An entry of a remote store is not taken: it is damaged, altered, or not sealed with the key."""


class OtherFormat(RefusedEntry):
    """An entry that a version of imagebuild with another format has made."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of an entry: size in bytes, permissions, time in seconds since 1970, and the digest of
    :func:`imagebuild.files.content_digest`. ``chunks`` has the number and the SHA-256 of each chunk that
    is not zeros only.
    """

    name: str
    size: int
    mode: int
    modified: float
    digest: str
    chunks: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class RemoteRecord:
    """An entry: for which recipe it was made, when (UTC, ISO 8601), from what; its folders with their
    permissions (the entry's own is ``.``), and its files in chunks of ``chunk`` bytes.
    """

    kind: str
    fingerprint: str
    label: str
    made: str
    modified: float
    inputs: dict[str, str]
    chunk: int
    folders: dict[str, int]
    files: tuple[RemoteFile, ...]
    format: int = FORMAT

    @property
    def data(self) -> int:
        """The bytes of all chunks, before they are compressed."""
        return sum(self.length(file, number) for file in self.files for number, _ in file.chunks)

    @property
    def digests(self) -> frozenset[str]:
        """The chunks that the entry is made of."""
        return frozenset(one for file in self.files for _, one in file.chunks)

    def length(self, file: RemoteFile, number: int) -> int:
        """The bytes of a chunk of a file."""
        return min(self.chunk, file.size - number * self.chunk)


def object_name(kind: str, fingerprint: str) -> str:
    """The name of an entry's record. Raises ValueError for what names no entry."""
    if not _KIND.fullmatch(kind) or not _DIGEST.fullmatch(fingerprint):
        raise ValueError(f"{kind}/{fingerprint} is not the name of an entry")
    return f"entries/{kind}/{fingerprint}"


def chunk_name(digest: str) -> str:
    """The name of a chunk."""
    return f"chunks/{digest[:2]}/{digest}"


def sealed(record: RemoteRecord, key: bytes | None) -> bytes:
    """A record as it is stored, sealed if there is a key."""
    text = json.dumps(asdict(record), sort_keys=True, separators=(",", ":")).encode()
    head = {} if key is None else {"key": _key_name(key), "mac": _mac(key, record.kind, record.fingerprint, text)}
    return json.dumps(head).encode() + b"\n" + text


def opened(stored: bytes, kind: str, fingerprint: str, key: bytes | None) -> RemoteRecord:
    """The record of an entry. Raises RefusedEntry for one that is not this entry's, not sealed with the
    key if there is one, or says what no record can say.
    """
    head, _, text = stored.partition(b"\n")
    if key is not None:
        _check_seal(head, kind, fingerprint, text, key)
    record = _read(text)
    if (record.kind, record.fingerprint) != (kind, fingerprint):
        raise RefusedEntry("it is the record of another entry")
    if wrong := next(_flaws(record), None):
        raise RefusedEntry(f"its record is not valid: {wrong}")
    return record


def readable(stored: bytes) -> RemoteRecord | None:
    """A record whose seal does not matter, since only its chunks are counted; None for what is none."""
    with suppress(RefusedEntry):
        record = _read(stored.partition(b"\n")[2])
        return record if next(_flaws(record), None) is None else None
    return None


def _check_seal(head: bytes, kind: str, fingerprint: str, text: bytes, key: bytes) -> None:
    try:
        said = json.loads(head) if len(head) < 1024 else None
    except ValueError:
        said = None
    mac = said.get("mac") if isinstance(said, dict) else None
    if not isinstance(said, dict) or not isinstance(mac, str):
        raise RefusedEntry("it is not sealed, and the project has a key")
    if not hmac.compare_digest(mac.encode(), _mac(key, kind, fingerprint, text).encode()):
        if said.get("key") != _key_name(key):
            raise RefusedEntry("it is sealed with another key")
        raise RefusedEntry("it was altered after it was sealed, or belongs to another entry")


def _mac(key: bytes, kind: str, fingerprint: str, text: bytes) -> str:
    head = f"imagebuild remote store {FORMAT}\n{kind}\n{fingerprint}\n".encode()
    return hmac.new(key, head + text, hashlib.sha256).hexdigest()


def _key_name(key: bytes) -> str:
    return hmac.new(key, b"imagebuild remote store: name of the key", hashlib.sha256).hexdigest()[:16]


def _read(text: bytes) -> RemoteRecord:
    try:
        record = json.loads(text)
        made = record.get("format") if isinstance(record, dict) else None
        if isinstance(made, int) and made != FORMAT:
            raise OtherFormat(f"it has the format {made}, and this version of imagebuild knows {FORMAT} only")
        return _records().validate_python(record)
    except (ValueError, RecursionError) as error:
        raise RefusedEntry("its record cannot be read") from error


@cache
def _records() -> TypeAdapter[RemoteRecord]:
    kind: Any = RemoteRecord
    return TypeAdapter(kind)


def _flaws(record: RemoteRecord) -> Iterator[str]:
    """What is impossible in a record: nothing in it may lead out of the entry's folder, or take more room
    or time than an entry can.
    """
    if not chunks.SMALLEST <= record.chunk <= chunks.LARGEST or record.chunk & (record.chunk - 1):
        yield "the length of its chunks"
    if len(record.files) > _MOST_FILES or len(record.folders) > _MOST_FILES:
        yield "it has too many files"
    if record.modified < 0 or record.modified > 1 << 40:
        yield "its time"
    names = [file.name for file in record.files]
    if len({*names, *record.folders}) != len(names) + len(record.folders) or "entry.json" in names:
        yield "two of its files have one name"
    for name, mode in record.folders.items():
        if (name != "." and not _inside(name, record)) or mode & ~_PERMISSIONS or mode & 0o700 != 0o700:
            yield "the name or the mode of a folder"
    if "." not in record.folders:
        yield "it has no folder"
    for file in record.files:
        yield from _flaws_of_file(file, record)
    if sum(len(file.chunks) for file in record.files) * record.chunk > _MOST_DATA:
        yield "it has too much data"


def _flaws_of_file(file: RemoteFile, record: RemoteRecord) -> Iterator[str]:
    if not _inside(file.name, record):
        yield "the name of a file"
    if file.mode & ~_PERMISSIONS or not 0 <= file.size <= _LARGEST_FILE or not 0 <= file.modified <= 1 << 40:
        yield "the size, the mode or the time of a file"
    last = -1
    for number, digest in file.chunks:
        if not last < number or number * record.chunk >= file.size or not _DIGEST.fullmatch(digest):
            yield "a chunk of a file"
            return
        last = number


def _inside(name: str, record: RemoteRecord) -> bool:
    """Whether a name is one inside of the entry, in a folder of it."""
    parent, _, last = name.rpartition("/")
    return all(_NAME.fullmatch(one) and one not in (".", "..") for one in name.split("/")) and (
        bool(last) and (parent or ".") in record.folders
    )
