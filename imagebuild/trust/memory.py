"""What was newest when it was seen here: something older that comes later is noticed.

A file has one mapping: of images to versions (``newest``), or of templates on a shelf to revisions
(``revisions``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from imagebuild.errors import HostError, UsageError
from imagebuild.files import write_atomically
from imagebuild.store import beside, version_order

_LARGEST = 16 << 20
_IMAGES = "newest"
Value = TypeVar("Value", str, int)


def read(path: Path, key: str, kind: type[Value]) -> dict[str, Value]:
    """The mapping in a file, which need not exist. Raises UsageError for one that is no such file: what it
    knew must not be lost silently.
    """
    try:
        content = beside.content_of(path.resolve(), _LARGEST)
        if content is None:
            return {}
        data = json.loads(content)
        found = data[key]
        if data["schema"] != 1 or not all(type(one) is kind for one in found.values()):
            raise UsageError(f"{path} was written by another program")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{path} is damaged", "restore it, or remove it and check the next one by hand") from error
    return dict(found)


def write(path: Path, key: str, values: Mapping[str, Value]) -> None:
    """Replace the mapping in a file. Raises HostError."""
    try:
        write_atomically(path, json.dumps({"schema": 1, key: values}, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise HostError(f"cannot write {path}: {error.strerror}", "choose another file with --remember") from error


def seen(path: Path) -> Mapping[str, str]:
    """Image → newest version; see :func:`read`."""
    return read(path, _IMAGES, str)


def remember(path: Path, image: str, version: str) -> None:
    """Write a version to the file unless a newer one is there."""
    known = dict(seen(path))
    if version_order.is_older(version, known.get(image, "")):
        return
    if known.get(image) != version:
        write(path, _IMAGES, {**known, image: version})
