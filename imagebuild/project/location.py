"""The URLs of folders, SFTP servers and object storage that a project publishes to. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from imagebuild.project.uri import found_text, refuse_password, split_authority
from imagebuild.schema.fields import forbidden_character, shown, text

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)(.*)")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()-]+(?:/[A-Za-z0-9!_.*'()-]+)*")
"""Characters that need no care: AWS, "Creating object key names", safe characters."""
EXPECTED = "the path of a folder, or a URL such as sftp://user@host/srv/images or s3://bucket/prefix"


@dataclass(frozen=True)
class Location:
    """The parts of a URL.

    ``path`` is the folder (relative to the project's file unless it begins with ``/`` or ``~``), or
    the prefix of an object's key without ``/`` around it. ``host`` is the bucket of an ``s3`` URL.
    """

    kind: Literal["folder", "sftp", "s3"]
    path: str
    host: str = ""
    user: str = ""
    port: int | None = None


def located(value: object) -> Location:
    """The place that a text names. Raises ValueError with the reason if it cannot be used."""
    line = text(value)
    refuse_password(line)
    if "://" not in line:
        if not line.strip() or re.match(r"(?:sftp|s3|file):", line):
            raise ValueError(f"expected {EXPECTED}{found_text(line)}")
        return Location("folder", line)
    found = _URL.fullmatch(line)
    if found is None:
        raise ValueError(f"expected {EXPECTED}{found_text(line)}")
    scheme, authority, path = found.groups()
    if "?" in line or "#" in line:
        raise ValueError("the URL of a target has no part after '?' or '#'")
    if scheme == "file":
        return _file(authority, path)
    if scheme == "sftp":
        user, host, port = split_authority(authority)
        return Location("sftp", _absolute(path, "after the host"), host, user, port)
    if scheme == "s3":
        return _s3(authority, path)
    if scheme in ("http", "https"):
        raise ValueError("nothing can be published to a web server; name the folder that it serves")
    raise ValueError(f"expected {EXPECTED}, found a URL that begins with {shown(scheme)}")


def _file(authority: str, path: str) -> Location:
    if authority not in ("", "localhost"):
        raise ValueError("a file URL is on this machine: write file:///path")
    return Location("folder", _absolute(path, "after file://"))


def _s3(bucket: str, path: str) -> Location:
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise ValueError("expected the name of a bucket after s3://: 3 to 63 lower-case letters, digits, '.' and '-'")
    prefix = path.strip("/")
    if prefix and (not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/"))):
        raise ValueError(
            f"expected a prefix of letters, digits, '/' and !_.*'()- after the bucket, found {shown(prefix)}"
        )
    return Location("s3", prefix, bucket)


def _absolute(path: str, where: str) -> str:
    """An absolute path with its percent-encoded characters decoded."""
    plain = unquote(path, errors="surrogateescape")
    if forbidden_character(plain) is not None:
        raise ValueError("the path of the URL contains a character that is not allowed")
    return checked_path(plain, where)


def checked_path(path: str, where: str = "") -> str:
    """``path`` if it is absolute and has no ``..``, without ``/`` at its end. Raises ValueError."""
    if not path.startswith("/") or not path.strip("/") or {".", ".."} & set(path.split("/")):
        raise ValueError(f"expected an absolute path {f'{where} ' if where else ''}without '..', found {shown(path)}")
    return re.sub("/+", "/", path).rstrip("/")
