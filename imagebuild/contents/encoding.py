"""The file ``inventory.json.gz``: JSON in pure ASCII, compressed, the same bytes for the same guest.

Whoever passes on an image can put such a file beside it, so everything in it is checked when it is
read: sizes before it is unpacked, then the type of each value.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, TypeVar

from imagebuild.contents.inventory import (
    SCHEMA,
    DiskArea,
    DiskLayout,
    EnabledUnit,
    FileRecord,
    FolderSize,
    GuestAccount,
    Inventory,
    PackageRecord,
    SystemRelease,
    UnownedFile,
)

INVENTORY = "inventory.json.gz"
"""The name of the file in an artifact."""
LARGEST = 64 << 20
"""Bytes: a guest with a million files needs about 20 MiB."""
_LARGEST_UNPACKED = 512 << 20
_LEVEL = 6
_KINDS = frozenset("fdlpsbc")
_FORMATS = ("dpkg", "rpm", "apk", "")
_READABLE = (1, SCHEMA)
"""Schema 1 is without ``installed`` and ``unowned``."""
T = TypeVar("T")


class InventoryError(ValueError):
    """A file is no inventory that this version can read; the message says why."""


def packed(inventory: Inventory) -> bytes:
    """The content of the file."""
    content = {
        "schema": SCHEMA,
        **asdict(replace(inventory, files=(), installed=None, unowned=None)),
        "files": [_row(one) for one in inventory.files],
        "installed": None if inventory.installed is None else [_row(one, 2) for one in inventory.installed],
        "unowned": None if inventory.unowned is None else [_row(one, 1) for one in inventory.unowned],
    }
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    return gzip.compress(text.encode(), compresslevel=_LEVEL, mtime=0)


def _row(one: FileRecord | PackageRecord | UnownedFile, least: int = 5) -> list[Any]:
    """A record as a list without the empty values at its end: there are very many of them."""
    row: list[Any] = list(one)
    while len(row) > least and not row[-1]:
        row.pop()
    return row


def unpacked(content: bytes) -> Inventory:
    """The inventory in the content of such a file. InventoryError for anything else."""
    text = _text(content)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InventoryError("it is not JSON") from error
    if not isinstance(data, dict) or not isinstance(data.get("schema"), int):
        raise InventoryError("it has no schema version")
    if data["schema"] not in _READABLE:
        age = "newer" if data["schema"] > SCHEMA else "older"
        raise InventoryError(f"its schema version is {data['schema']}, which is {age} than {SCHEMA}")
    try:
        return _inventory(data)
    except KeyError as error:
        raise InventoryError(f"it has no {error}") from error
    except (TypeError, ValueError) as error:
        raise InventoryError(f"a value in it is not as expected: {error}") from error


def _text(content: bytes) -> bytes:
    if len(content) > LARGEST:
        raise InventoryError("it is too large")
    try:
        unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        text = unpacker.decompress(content, _LARGEST_UNPACKED)
    except zlib.error as error:
        raise InventoryError("it is damaged") from error
    if unpacker.unconsumed_tail:
        raise InventoryError("it is too large")
    if not unpacker.eof:
        raise InventoryError("it is damaged")
    return text


def _inventory(data: dict[str, Any]) -> Inventory:
    packages = data["packages"]
    if not isinstance(packages, dict | None):
        raise TypeError("the packages are no object")
    return Inventory(
        SystemRelease(**_texts(data["system"], "id", "version", "codename", "name", "architecture")),
        _one_of(data["package_format"], _FORMATS),
        None if packages is None else {name: _text_in(version) for name, version in packages.items()},
        _each(data["accounts"], _account),
        _each(data["units"], _unit),
        _each(data["kernels"], _text_in),
        _each(data["folders"], lambda one: FolderSize(_path(one["path"]), _number(one["size"]))),
        _each(data["disks"], _disk),
        _each(data["volumes"], _area),
        _each(data["files"], _file),
        _each_if_known(data, "installed", _package),
        _each_if_known(data, "unowned", _unowned),
    )


def _each_if_known(data: dict[str, Any], name: str, of: Callable[[Any], T]) -> tuple[T, ...] | None:
    """A list that may be null, and that schema 1 does not have."""
    values = data.get(name) if data["schema"] < SCHEMA else data[name]
    return None if values is None else _each(values, of)


def _package(row: list[Any]) -> PackageRecord:
    found = PackageRecord(*row)
    texts = (found.name, found.version, found.architecture, found.source, found.source_version, found.vendor)
    licences = _each(list(found.licences), _text_in)
    if not all(type(one) is str for one in (*texts, found.homepage)):
        raise TypeError("a package has a value of the wrong type")
    return found._replace(size=_number(found.size), licences=licences)


def _unowned(row: list[Any]) -> UnownedFile:
    found = UnownedFile(*row)
    if not re.fullmatch("|[0-9a-f]{64}", _text_in(found.sha256)) or "\0" in _path(found.path):
        raise ValueError("a file of no package has an impossible path or digest")
    return found


def _account(one: dict[str, Any]) -> GuestAccount:
    texts = _texts(one, "name", "home", "shell")
    return GuestAccount(**texts, uid=_number(one["uid"]), gid=_number(one["gid"]), login=_each(one["login"], _text_in))


def _unit(one: dict[str, Any]) -> EnabledUnit:
    name, vendor = _text_in(one["name"]), one["vendor"]
    if not isinstance(vendor, bool):
        raise TypeError("true or false is missing")
    return EnabledUnit(name, _each(one["wanted_by"], _text_in), _each(one["listens"], _text_in), vendor)


def _disk(one: dict[str, Any]) -> DiskLayout:
    return DiskLayout(_number(one["size"]), _text_in(one["table"]), _each(one["areas"], _area))


def _area(one: dict[str, Any]) -> DiskArea:
    texts = _texts(one, "name", "type", "label", "filesystem", "filesystem_label", "mountpoint")
    numbers = {name: _number(one[name]) for name in ("number", "start", "size")}
    maybe = {name: None if one[name] is None else _number(one[name]) for name in ("used", "capacity")}
    return DiskArea(**texts, **numbers, **maybe)  # type: ignore[arg-type]  # of three dicts, each with its own fields


def _file(row: list[Any]) -> FileRecord:
    found = FileRecord(*row)
    numbers = (found.mode, found.uid, found.gid, found.size)
    texts = (found.path, found.kind, found.target, found.capabilities, found.sha256)
    if not all(type(one) is str for one in texts) or not all(type(one) is int and one >= 0 for one in numbers):
        raise TypeError("a file has a value of the wrong type")
    if found.kind not in _KINDS or found.path[:1] != "/" or "\0" in found.path:
        raise ValueError("a file has an impossible kind or path")
    return found


def _each(values: Any, of: Callable[[Any], T]) -> tuple[T, ...]:
    if not isinstance(values, list):
        raise TypeError("a list is missing")
    return tuple(map(of, values))


def _texts(values: dict[str, Any], *names: str) -> dict[str, str]:
    return {name: _text_in(values[name]) for name in names}


def _text_in(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is missing")
    return value


def _path(value: Any) -> str:
    if not _text_in(value).startswith("/"):
        raise ValueError("a path is not absolute")
    return str(value)


def _one_of(value: Any, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError("a name is not one of the known ones")
    return str(value)


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError("a number is missing")
    return value
