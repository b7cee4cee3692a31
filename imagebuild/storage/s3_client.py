"""The connection to S3-compatible storage: s3fs, with its errors as one sentence, and time limits.

Requests are made one by one through s3fs's ``call_s3``, not through its files: those upload what was
written when an exception ends their block, keep old listings, and cannot resume an upload.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Protocol

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.printable import one_line
from imagebuild.recipe import secrets
from imagebuild.schema.section import SecretRef

CONNECT, READ, ATTEMPTS = 10, 60, 3
"""Seconds for a connection and between two pieces of an answer, and how often a request is made."""
SLOWEST = 64 << 10
"""Bytes a second that a request must at least send or get: aiohttp has no limit for a server that stops
reading, so a request as a whole has one.
"""
_GONE = ("NoSuchKey", "NoSuchUpload", "NotFound", "404")
_CONFLICT = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_HINTS = {
    "SignatureDoesNotMatch": "check the secret key",
    "InvalidAccessKeyId": "check the access key",
    "AccessDenied": "allow this account to list, read, write and delete there",
    "NoSuchBucket": "create the bucket; it is never created by itself",
}


class BucketLocation(Protocol):
    """The parts of an ``s3`` URL."""

    @property
    def host(self) -> str:
        """The bucket."""


class S3Access(Protocol):
    """Where a bucket is, and how to use it: an entry of the project's file."""

    @property
    def parsed(self) -> BucketLocation: ...
    @property
    def endpoint(self) -> str | None: ...
    @property
    def region(self) -> str | None: ...
    @property
    def access_key(self) -> SecretRef | None: ...
    @property
    def secret_key(self) -> SecretRef | None: ...
    @property
    def insecure(self) -> bool: ...


class Conflict(ImageBuildError):
    """A condition of a request was not met: somebody else was faster."""


class Gone(HostError):
    """There is no such object or upload."""


class S3Client:
    """Requests on one bucket. Every method raises HostError."""

    def __init__(self, name: str, entry: S3Access, folder: Path) -> None:
        self._name, self._entry, self._folder = name, entry, folder
        self._bucket = entry.parsed.host
        self._system: Any = None

    def _fs(self) -> Any:
        if self._system is None:
            self._system = self._connected()
        return self._system

    def _connected(self) -> Any:
        try:
            import s3fs  # an extra, and slow to import
        except ImportError as error:
            raise HostError(
                f"the storage of {self._name} needs the Python package s3fs: {error}",
                "install imagebuild with its extra s3: pip install 'imagebuild[s3]'",
            ) from error
        entry = self._entry
        key = secrets.read(entry.access_key, self._folder) if entry.access_key else None
        secret = secrets.read(entry.secret_key, self._folder) if entry.secret_key else None
        config = {
            "connect_timeout": CONNECT,
            "read_timeout": READ,
            "retries": {"max_attempts": ATTEMPTS, "mode": "standard"},
            # without: other servers than Amazon's refuse them, or store them unread; digests are read back
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
        if entry.endpoint:
            config["s3"] = {"addressing_style": "path"}
        system = s3fs.S3FileSystem(
            key=key, secret=secret, endpoint_url=entry.endpoint, config_kwargs=config, anon=False,
            client_kwargs={"region_name": entry.region} if entry.region else {},
            skip_instance_cache=True, use_listings_cache=False,
        )  # fmt: skip
        system.retries = 1  # botocore repeats requests already
        with _Sentences(self._name):
            address = str(system.s3.meta.endpoint_url)
        if not address.startswith("https:") and not entry.insecure:
            raise HostError(
                f"the S3 endpoint of {self._name} is {one_line(address)}, which is not encrypted",
                "it comes from AWS's variables or files; use https, or say insecure: true in its entry",
            )
        return system

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """An S3 operation, such as put_object, on this bucket."""
        answer: dict[str, Any] = self._done(
            lambda system: system._call_s3(method, Bucket=self._bucket, **arguments),  # noqa: SLF001 - as in _body
            len(arguments.get("Body", b"")),
        )
        return answer

    def _done(self, work: Callable[[Any], Awaitable[Any]], size: int) -> Any:
        """Run a request of ``size`` bytes in s3fs's event loop."""
        from fsspec.asyn import sync

        system, limit = self._fs(), READ + size / SLOWEST

        async def limited() -> Any:
            async with asyncio.timeout(limit):
                return await work(system)

        with _Sentences(self._name):
            return sync(system.loop, limited)

    def about(self, key: str) -> dict[str, Any] | None:
        """The answer to head_object; None if there is no such object."""
        try:
            return self.call("head_object", Key=key)
        except Gone:
            return None

    def content(self, key: str, limit: int) -> tuple[bytes, str, float] | None:
        """A small object, its entity tag, and its age in seconds by the server's clock; None if there
        is none. More than ``limit`` bytes are cut off after one more.
        """
        try:
            return self._content(key, limit)
        except Gone:
            return None

    def _content(self, key: str, limit: int) -> tuple[bytes, str, float]:
        answer, data = self._body(Key=key, limit=limit + 1)
        return data, str(answer.get("ETag", "")), _age(answer)

    def piece(self, key: str, begin: int, end: int, tag: str) -> bytes:
        """The bytes from ``begin`` to before ``end`` of the object with this entity tag."""
        condition = {"IfMatch": tag} if tag else {}
        _, data = self._body(Key=key, Range=f"bytes={begin}-{end - 1}", limit=end - begin + 1, **condition)
        if len(data) != end - begin:
            raise HostError(
                f"{self._name} gave {len(data)} bytes of {key} instead of {end - begin}", "run the command again"
            )
        return data

    def _body(self, limit: int, **arguments: Any) -> tuple[dict[str, Any], bytes]:
        async def fetch(system: Any) -> tuple[dict[str, Any], bytes]:
            # fsspec's name for the call that is awaited in its loop
            answer = await system._call_s3("get_object", Bucket=self._bucket, **arguments)  # noqa: SLF001
            pieces, size = [], 0
            async with answer["Body"] as body:
                while size < limit and (block := await body.read(limit - size)):
                    pieces.append(block)
                    size += len(block)
            return answer, b"".join(pieces)

        found: tuple[dict[str, Any], bytes] = self._done(fetch, limit)
        return found

    def pages(self, method: str, **arguments: Any) -> list[dict[str, Any]]:
        """The answers to a listing, page after page."""
        found: list[dict[str, Any]] = []
        more: dict[str, Any] = {}
        while True:
            answer = self.call(method, **arguments, **more)
            found.append(answer)
            if not answer.get("IsTruncated") or len(found) >= 10_000:
                return found
            more = _next(answer)
            if not more:
                return found


def _next(answer: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "ContinuationToken": "NextContinuationToken",
        "KeyMarker": "NextKeyMarker",
        "UploadIdMarker": "NextUploadIdMarker",
        "PartNumberMarker": "NextPartNumberMarker",
    }
    return {name: answer[other] for name, other in names.items() if answer.get(other)}


def _age(answer: Mapping[str, Any]) -> float:
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return float((parsedate_to_datetime(date) - answer["LastModified"]).total_seconds())
    except (KeyError, TypeError, ValueError):
        return 0.0


class _Sentences:
    """Turns what s3fs and botocore raise into errors of imagebuild."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None or not isinstance(error, Exception) or isinstance(error, ImageBuildError):
            return
        code = _code(error)
        if code in _GONE:
            raise Gone(f"something is no longer at {self._name}: {one_line(str(error))}") from error
        if code in _CONFLICT:
            raise Conflict(f"a condition was not met at {self._name}") from error
        if isinstance(error, TimeoutError):
            raise HostError(
                f"the S3 storage of {self._name} did not answer in time",
                "run the command again; what was sent is used again",
            ) from error
        why = one_line(str(error) or type(error).__name__)
        hint = _HINTS.get(code, "check the network, the endpoint and the credentials; what was sent is used again")
        raise HostError(f"the S3 storage of {self._name} cannot be used: {why}", hint) from error


def _code(error: BaseException) -> str:
    """S3's error code of what was raised, or in its cause (s3fs turns them into OSErrors)."""
    seen: BaseException | None = error
    while seen is not None:
        response = getattr(seen, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        seen = seen.__cause__
    return ""
