"""The packages in an rpm database, read without rpm.

Only the format of rpm 4.16 and newer is supported (``rpmdb.sqlite``: Fedora 33, RHEL 9). Its table
``Packages`` has a header per package, in the format of rpm's own files ("RPM V4 Package format").
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from imagebuild.customise.contents import sqlite_table
from imagebuild.customise.contents.sqlite_table import DamagedDatabaseError

NAME = "rpmdb.sqlite"
_NAME, _VERSION, _RELEASE, _EPOCH = 1000, 1001, 1002, 1003
_INT32, _STRING = 4, 6
_ENTRY = struct.Struct(">IIII")
_KEY = "gpg-pubkey"
"""The name under which rpm stores keys."""


def packages(database: bytes) -> Mapping[str, str]:
    """Each package with ``[epoch:]version-release``. DamagedDatabaseError if the file is no such
    database."""
    found = {}
    for row in sqlite_table.rows(database, "Packages"):
        blob = row[1] if len(row) > 1 else None
        if not isinstance(blob, bytes):
            raise DamagedDatabaseError("a package has no header")
        name, version = _named(blob)
        if name != _KEY:
            found[name] = version
    return found


def _named(header: bytes) -> tuple[str, str]:
    try:
        count, size = struct.unpack_from(">II", header)
        store = 8 + count * _ENTRY.size
        if store + size > len(header):
            raise DamagedDatabaseError("the header of a package is truncated")
        tags = {tag: (kind, store + at) for tag, kind, at, _ in _ENTRY.iter_unpack(header[8:store])}
        epoch = f"{_integer(header, tags[_EPOCH])}:" if _EPOCH in tags else ""
        name, version, release = (_text(header, tags[tag]) for tag in (_NAME, _VERSION, _RELEASE))
    except (KeyError, ValueError, struct.error) as error:
        raise DamagedDatabaseError("the header of a package is damaged") from error
    return name, f"{epoch}{version}-{release}"


def _text(header: bytes, place: tuple[int, int]) -> str:
    kind, at = place
    if kind != _STRING:
        raise DamagedDatabaseError("a name in the header of a package is no text")
    return header[at : header.index(b"\0", at)].decode("utf-8", "surrogateescape")


def _integer(header: bytes, place: tuple[int, int]) -> int:
    kind, at = place
    if kind != _INT32:
        raise DamagedDatabaseError("an epoch in the header of a package is no number")
    return int(struct.unpack_from(">I", header, at)[0])
