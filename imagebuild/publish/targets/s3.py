"""Publishes to S3-compatible storage.

Digests are read back by downloading: an entity tag is an MD5, or of several parts none at all, and the
SHA-256 that storage may show is, on some servers, what the sender said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from imagebuild.errors import HostError
from imagebuild.project.model import StorageTarget
from imagebuild.publish.protocol import Progress
from imagebuild.publish.release import ReleaseFile
from imagebuild.publish.state import LARGEST, StoredFile, TemplateState
from imagebuild.publish.targets import lease
from imagebuild.publish.targets.records import (
    LOCK,
    Records,
    checked_file,
    published_name,
    record_name,
    template_of,
)
from imagebuild.publish.targets.s3_lock import S3Lock
from imagebuild.publish.targets.s3_upload import abort, unfinished, uploaded
from imagebuild.storage.s3_client import Conflict, S3Client

_PIECE = 8 << 20
_AHEAD = 4
"""Pieces that are read at one time."""


class S3Target:
    """A bucket, or a prefix in one; ``patience`` is how many seconds to wait for its lock."""

    def __init__(self, name: str, entry: StorageTarget, folder: Path, patience: float = lease.PATIENCE) -> None:
        self.name = name
        self._prefix = f"{entry.parsed.path}/" if entry.parsed.path else ""
        self._client = S3Client(name, entry, folder)
        self._patience = patience
        self._records = Records(name, entry.url)
        self._tags: dict[str, str] = {}
        self._lost = lease.Lost(name)

    def _key(self, name: str) -> str:
        return self._prefix + name

    @contextmanager
    def lock(self) -> Iterator[None]:
        lock = S3Lock(self._client, self._key(LOCK), self.name)
        self._lost = lease.Lost(self.name)
        try:
            lock.take(self._patience)
            with lease.renewed(lock.renew, self._lost):
                yield
        finally:
            lock.release()

    def _listing(self) -> Iterator[tuple[str, int]]:
        for page in self._client.pages("list_objects_v2", Prefix=self._prefix, Delimiter="/"):
            for one in page.get("Contents") or ():
                yield str(one["Key"]).removeprefix(self._prefix), int(one["Size"])

    def templates(self) -> list[str]:
        found = {template_of(name) for name, _ in self._listing()}
        return sorted(template for template in found if template)

    def state(self, template: str) -> TemplateState | None:
        return self._records.read(template, self._record(template))

    def _record(self, template: str) -> bytes | None:
        found = self._client.content(self._key(record_name(template)), LARGEST)
        if found is None:
            self._tags[template] = ""
            return None
        content, self._tags[template], _ = found
        if len(content) > LARGEST:
            raise self._records.too_large(template)
        return content

    def stored(self) -> Mapping[str, int]:
        sizes = {key.removeprefix(self._prefix): 0 for key in unfinished(self._client, self._prefix)}
        sizes.update(self._listing())
        return {name: size for name, size in sizes.items() if published_name(name) == name}

    def send(self, file: ReleaseFile, template: TemplateState | None, progress: Progress) -> int:
        key = self._key(checked_file(file.stored.name))
        if self._client.about(key) is not None:
            return 0
        return uploaded(self._client, key, file, progress)

    def digest(self, file: StoredFile, progress: Progress) -> str:
        key = self._key(checked_file(file.name))
        about = self._client.about(key)
        if about is None:
            return ""
        size, tag = int(about["ContentLength"]), str(about.get("ETag", ""))
        digest, at = hashlib.sha256(), 0
        with ThreadPoolExecutor(_AHEAD, thread_name_prefix="s3") as pool:
            begins = range(0, size, _PIECE)
            for group in (begins[first : first + _AHEAD] for first in range(0, len(begins), _AHEAD)):
                for piece in pool.map(
                    lambda begin: self._client.piece(key, begin, min(begin + _PIECE, size), tag), group
                ):
                    digest.update(piece)
                    at += len(piece)
                    progress(at, size)
        return digest.hexdigest()

    def switch(self, state: TemplateState) -> None:
        template, content = state.template, self._records.written(state)
        self._records.check(template, self._record(template))
        self._lost.check()
        tag = self._tags[template]
        condition = {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
        try:
            self._client.call(
                "put_object", Key=self._key(record_name(template)), Body=content,
                ContentType="application/json", CacheControl="no-cache", **condition,
            )  # fmt: skip
        except Conflict as error:
            raise HostError(
                f"the record of the template {template} at {self.name} was changed by somebody else meanwhile",
                "nothing was switched; run the command again",
            ) from error
        self._records.now(template, content)

    def used(self, state: TemplateState) -> Mapping[str, str]:
        """Nothing: who reads an object is not known here."""
        return {}

    def remove(self, file: str) -> None:
        key = self._key(checked_file(file))
        abort(self._client, key)
        self._client.call("delete_object", Key=key)
