"""Multi-part uploads that a later attempt resumes. An object appears when its last request is done."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Lock
from typing import Any

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.files import sha256
from imagebuild.publish.protocol import Progress
from imagebuild.publish.release import ReleaseFile
from imagebuild.storage.s3_client import Conflict, Gone, S3Client

PIECE = 16 << 20
"""Bytes of a part, unless that would be too many; S3 takes at least 5 MiB."""
_MOST = 10_000
"""Parts of an upload (AWS, "Amazon S3 multipart upload limits")."""
AT_ONCE = 4
"""Parts that are sent at one time."""


@dataclass(frozen=True)
class _Piece:
    number: int
    begin: int
    size: int


def uploaded(client: S3Client, key: str, file: ReleaseFile, progress: Progress) -> int:
    """Upload a file to a key where nothing is, and return the bytes that were sent.

    Parts of an earlier upload are used again if their size and MD5 are right. Raises HostError, and
    ImageBuildError if the file is not what it was when the release was made.
    """
    if sha256(file.path) != file.stored.sha256:
        raise ImageBuildError(
            f"{file.path} was changed while it was sent: its SHA-256 is not the one in its manifest",
            "build it again; nothing was published",
        )
    if file.stored.size <= PIECE:
        return _at_once(client, key, file, progress)
    upload = _earlier(client, key)
    there = _parts(client, key, upload) if upload else {}
    if not upload:
        upload = str(client.call("create_multipart_upload", Key=key)["UploadId"])
    job = _Upload(client, key, upload, file, there, progress)
    parts = job.run()
    _complete(client, key, upload, parts)
    return job.sent


def _at_once(client: S3Client, key: str, file: ReleaseFile, progress: Progress) -> int:
    content = file.path.read_bytes()
    with suppress(Conflict):  # it is there already: its digest is read back like any other
        client.call("put_object", Key=key, Body=content, IfNoneMatch="*")
    progress(len(content), len(content))
    return len(content)


def _complete(client: S3Client, key: str, upload: str, parts: list[dict[str, Any]]) -> None:
    arguments = {"Key": key, "UploadId": upload, "MultipartUpload": {"Parts": parts}}
    try:
        client.call("complete_multipart_upload", **arguments, IfNoneMatch="*")
    except Conflict:  # it is there already: its digest is read back like any other
        _abort(client, key, upload)


def abort(client: S3Client, key: str) -> None:
    """Remove what unfinished uploads of a key left."""
    for upload in _uploads(client, key):
        _abort(client, key, upload)


def _abort(client: S3Client, key: str, upload: str) -> None:
    with suppress(Gone):
        client.call("abort_multipart_upload", Key=key, UploadId=upload)


def unfinished(client: S3Client, prefix: str) -> list[str]:
    """The keys below a prefix that have an unfinished upload."""
    return [str(one["Key"]) for one in _unfinished(client, prefix)]


def _uploads(client: S3Client, key: str) -> list[str]:
    return [str(one["UploadId"]) for one in _unfinished(client, key) if one["Key"] == key]


def _unfinished(client: S3Client, prefix: str) -> list[dict[str, Any]]:
    try:
        pages = client.pages("list_multipart_uploads", Prefix=prefix)
    except Gone:  # rclone's answer if there was never one
        return []
    return [one for page in pages for one in page.get("Uploads") or ()]


def _earlier(client: S3Client, key: str) -> str:
    """The upload that is resumed; others of the same key are aborted."""
    *others, last = ["", *_uploads(client, key)]
    for upload in others:
        if upload:
            _abort(client, key, upload)
    return last


def _parts(client: S3Client, key: str, upload: str) -> Mapping[int, tuple[int, str]]:
    """Number → size and entity tag of the parts that are there."""
    pages = client.pages("list_parts", Key=key, UploadId=upload)
    found = [one for page in pages for one in page.get("Parts") or ()]
    return {int(one["PartNumber"]): (int(one["Size"]), str(one["ETag"])) for one in found}


class _Upload:
    def __init__(
        self,
        client: S3Client,
        key: str,
        upload: str,
        file: ReleaseFile,
        there: Mapping[int, tuple[int, str]],
        progress: Progress,
    ) -> None:
        self._client, self._key, self._upload = client, key, upload
        self._file, self._there, self._progress = file, there, progress
        self._lock, self._over = Lock(), Event()
        self._done = 0
        self.sent = 0

    def run(self) -> list[dict[str, Any]]:
        """Upload what is missing; returns the parts as complete_multipart_upload wants them."""
        size = self._file.stored.size
        step = max(PIECE, -(-size // _MOST))
        pieces = [
            _Piece(number, begin, min(step, size - begin)) for number, begin in enumerate(range(0, size, step), start=1)
        ]
        descriptor = os.open(self._file.path, os.O_RDONLY | os.O_CLOEXEC)
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="s3")
        try:
            return list(pool.map(lambda piece: self._or_stop(descriptor, piece), pieces))
        finally:
            pool.shutdown(cancel_futures=True)
            os.close(descriptor)

    def _or_stop(self, descriptor: int, piece: _Piece) -> dict[str, Any]:
        """Upload a piece unless another one failed."""
        if self._over.is_set():
            raise HostError(f"the upload of {self._file.path} was stopped")
        try:
            return self._piece(descriptor, piece)
        except BaseException:
            self._over.set()
            raise

    def _piece(self, descriptor: int, piece: _Piece) -> dict[str, Any]:
        block = os.pread(descriptor, piece.size, piece.begin)
        if len(block) != piece.size:
            raise HostError(f"{self._file.path} is shorter than it was", "build it again")
        size, tag = self._there.get(piece.number, (0, ""))
        md5 = hashlib.md5(block, usedforsecurity=False).hexdigest()
        if size != len(block) or tag.strip('"') != md5:
            answer = self._client.call(
                "upload_part", Key=self._key, UploadId=self._upload, PartNumber=piece.number, Body=block
            )
            tag = str(answer["ETag"])
            with self._lock:
                self.sent += len(block)
        with self._lock:
            self._done += len(block)
            self._progress(self._done, self._file.stored.size)
        return {"PartNumber": piece.number, "ETag": tag}
