"""A remote store in S3-compatible storage, through s3fs.

Objects are put as a whole, by one request: s3fs's files would upload what was written when an exception
ends their block, and its listings may be old.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from imagebuild.remote.place import StoredObject, too_large
from imagebuild.storage.s3_client import S3Client

if TYPE_CHECKING:
    from imagebuild.project.shared_store import SharedStore


class S3Place:
    """A bucket, or a prefix in one."""

    writable = True
    threads = 8

    def __init__(self, name: str, entry: SharedStore, folder: Path) -> None:
        place = entry.parsed
        self._prefix = f"{place.path}/" if place.path else ""
        self._client = S3Client(name, entry, folder)

    def read(self, name: str, limit: int) -> bytes | None:
        found = self._client.content(self._prefix + name, limit)
        if found is None:
            return None
        if len(found[0]) > limit:
            raise too_large(name, limit)
        return found[0]

    def size(self, name: str) -> int | None:
        about = self._client.about(self._prefix + name)
        return None if about is None else int(about["ContentLength"])

    def write(self, name: str, content: bytes) -> None:
        self._client.call("put_object", Key=self._prefix + name, Body=content)

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        for page in self._client.pages("list_objects_v2", Prefix=f"{self._prefix}{prefix}/"):
            for one in page.get("Contents") or ():
                name = str(one["Key"]).removeprefix(self._prefix)
                yield StoredObject(name, int(one["Size"]), one["LastModified"].timestamp())

    def remove(self, name: str) -> None:
        self._client.call("delete_object", Key=self._prefix + name)

    def close(self) -> None:
        pass
