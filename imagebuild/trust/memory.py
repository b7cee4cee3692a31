"""The newest version of each image that was seen here: an older one that comes later is noticed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from imagebuild.errors import UsageError
from imagebuild.files import write_atomically
from imagebuild.store import beside, version_order

_LARGEST = 4 << 20


def seen(path: Path) -> Mapping[str, str]:
    """Image → newest version, from a file that need not exist. Raises UsageError for one that is no such
    file: what it knew must not be lost silently.
    """
    try:
        content = beside.content_of(path.resolve(), _LARGEST)
        if content is None:
            return {}
        data = json.loads(content)
        found = data["newest"]
        if data["schema"] != 1 or not all(isinstance(one, str) for pair in found.items() for one in pair):
            raise UsageError(f"{path} was written by another program")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{path} is damaged", "restore it, or remove it and check the next version by hand") from error
    return dict(found)


def remember(path: Path, image: str, version: str) -> None:
    """Write a version to the file unless a newer one is there."""
    known = dict(seen(path))
    if version_order.is_older(version, known.get(image, "")):
        return
    if known.get(image) != version:
        known[image] = version
        write_atomically(path, json.dumps({"schema": 1, "newest": known}, indent=1, sort_keys=True) + "\n")
