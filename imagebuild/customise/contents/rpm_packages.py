"""The packages in an rpm database, read without rpm.

Only the format of rpm 4.16 and newer is supported (``rpmdb.sqlite``: Fedora 33, RHEL 9). Its table
``Packages`` has a header per package, in the format of rpm's own files ("RPM V4 Package format");
the numbers and types of its tags are in rpm's manual ("RPM Tags").
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping

from imagebuild.contents.inventory import PackageRecord
from imagebuild.customise.contents import sqlite_table
from imagebuild.customise.contents.field_limits import MOST_PACKAGES, clipped
from imagebuild.customise.contents.sqlite_table import DamagedDatabaseError

NAME = "rpmdb.sqlite"
_NAME, _VERSION, _RELEASE, _EPOCH, _SIZE, _VENDOR = 1000, 1001, 1002, 1003, 1009, 1011
_LICENCE, _PACKAGER, _URL, _ARCHITECTURE, _SOURCE = 1014, 1015, 1020, 1022, 1044
_FOLDER_INDEXES, _BASE_NAMES, _FOLDERS, _LONG_SIZE = 1116, 1117, 1118, 5009
_INT32, _INT64, _STRING, _STRINGS = 4, 5, 6, 8
_ENTRY = struct.Struct(">IIII")
_KEY = "gpg-pubkey"
"""The name under which rpm stores keys."""
_SOURCE_FILE = re.compile(r"(.+)-([^-]+-[^-]+)\.(?:no)?src\.rpm")
_MOST_FILES = 2_000_000
_LONGEST_PATH = 4096
"""Linux accepts no longer one."""


class _Header:
    """The tags of one package."""

    def __init__(self, content: bytes) -> None:
        count, size = struct.unpack_from(">II", content)
        store = 8 + count * _ENTRY.size
        if store + size > len(content):
            raise DamagedDatabaseError("the header of a package is truncated")
        self._content = content
        self._tags = {tag: (kind, store + at, many) for tag, kind, at, many in _ENTRY.iter_unpack(content[8:store])}

    def text(self, tag: int) -> str:
        kind, at, _ = self._tags[tag]
        if kind != _STRING:
            raise DamagedDatabaseError("a name in the header of a package is no text")
        return self._content[at : self._content.index(b"\0", at)].decode("utf-8", "surrogateescape")

    def optional(self, tag: int) -> str:
        found = self.text(tag) if tag in self._tags and self._tags[tag][0] == _STRING else ""
        return "" if found == "(none)" else clipped(found)

    @property
    def version(self) -> str:
        epoch = f"{self.numbers(_EPOCH, _INT32)[0]}:" if _EPOCH in self._tags else ""
        return f"{epoch}{self.text(_VERSION)}-{self.text(_RELEASE)}"

    @property
    def size(self) -> int:
        if _LONG_SIZE in self._tags:
            return self.numbers(_LONG_SIZE, _INT64)[0]
        return self.numbers(_SIZE, _INT32)[0] if _SIZE in self._tags else 0

    def numbers(self, tag: int, expected: int) -> tuple[int, ...]:
        kind, at, many = self._tags[tag]
        if kind != expected:
            raise DamagedDatabaseError("an epoch or a size in the header of a package is no number")
        letter, width = ("I", 4) if kind == _INT32 else ("Q", 8)
        if not 0 < many <= (len(self._content) - at) // width:
            raise DamagedDatabaseError("the header of a package has no such number")
        return struct.unpack_from(f">{many}{letter}", self._content, at)

    def files(self) -> Iterator[str]:
        """The paths of the package's files."""
        if not {_FOLDERS, _BASE_NAMES, _FOLDER_INDEXES} <= self._tags.keys():
            return
        folders = self._strings(_FOLDERS)
        for name, index in zip(self._strings(_BASE_NAMES), self.numbers(_FOLDER_INDEXES, _INT32), strict=False):
            if index < len(folders) and len(folders[index]) + len(name) <= _LONGEST_PATH:
                yield (folders[index] + name).decode("utf-8", "surrogateescape")

    def _strings(self, tag: int) -> list[bytes]:
        kind, at, many = self._tags[tag]
        if kind != _STRINGS or many > len(self._content):
            raise DamagedDatabaseError("a package has no list of files")
        return self._content[at:].split(b"\0", many)[:many]


def packages(database: bytes) -> Mapping[str, str]:
    """Each package with ``[epoch:]version-release``. DamagedDatabaseError if the file is no such
    database."""
    return {one.name: one.version for one in described(database)[0]}


def described(database: bytes) -> tuple[list[PackageRecord], set[str]]:
    """The packages, in the order of the database, and the paths of all their files.
    DamagedDatabaseError if the file is no such database."""
    found: list[PackageRecord] = []
    files: set[str] = set()
    for row in sqlite_table.rows(database, "Packages"):
        blob = row[1] if len(row) > 1 else None
        if not isinstance(blob, bytes):
            raise DamagedDatabaseError("a package has no header")
        try:
            header = _Header(blob)
            record = _record(header)
            if record.name != _KEY:
                found.append(record)
                files.update(header.files())
        except (KeyError, ValueError, struct.error) as error:
            raise DamagedDatabaseError("the header of a package is damaged") from error
        if len(found) > MOST_PACKAGES or len(files) > _MOST_FILES:
            raise DamagedDatabaseError("there are too many packages or files in it")
    return found, files


def _record(header: _Header) -> PackageRecord:
    source = _SOURCE_FILE.fullmatch(header.optional(_SOURCE))
    licence = header.optional(_LICENCE)
    return PackageRecord(
        header.text(_NAME),
        header.version,
        header.optional(_ARCHITECTURE),
        source[1] if source else "",
        source[2] if source else "",
        header.optional(_VENDOR) or header.optional(_PACKAGER),
        header.optional(_URL),
        header.size,
        (licence,) if licence else (),
    )
