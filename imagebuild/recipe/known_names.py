"""The names of recipes and images for completion, remembered from the last time.

A recipe must be composed before its images have names, which takes longer than somebody who presses
a key should wait. So the names are kept, with the size and time of every recipe that they came from,
one file for each set of folders. A name from elsewhere, of a file that is extended, may be stale.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import platformdirs

import imagebuild
from imagebuild.files import write_atomically
from imagebuild.recipe.folders import SUFFIX, available

_LONGEST = 1 << 20
"""Bytes of a file with names that are read."""


def known_names(folders: Sequence[Path], kept: Path | None = None) -> list[str]:
    """The names that recipes in ``folders`` are known by, the first folder's first.

    ``kept`` is the folder of the remembered names (default: below the user's cache).
    """
    place = kept or platformdirs.user_cache_path("imagebuild-completion")
    absolute = [folder.resolve() for folder in folders]
    file = place / f"{hashlib.sha256(repr(absolute).encode()).hexdigest()[:16]}.json"
    state = _state(absolute)
    names = _remembered(file, state)
    if names is None:
        names = _composed(folders)
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(file, json.dumps({"state": state, "names": names}), 0o600)
        except OSError:
            pass  # the next time takes as long
    return names


def _composed(folders: Sequence[Path]) -> list[str]:
    from imagebuild.recipe.catalogue import catalogue  # takes its time

    return list(dict.fromkeys([*available(folders), *(one.name for one in catalogue(folders))]))


def _state(folders: Sequence[Path]) -> list[list[str | int]]:
    """What the names depend on."""
    found: list[list[str | int]] = [[imagebuild.__version__]]
    for folder in folders:
        for path in sorted(folder.rglob(f"*{SUFFIX}")):
            try:
                seen = path.stat()
            except OSError:
                continue
            found.append([str(path), seen.st_size, seen.st_mtime_ns])
    return found


def _remembered(file: Path, state: list[list[str | int]]) -> list[str] | None:
    try:
        with file.open("rb") as stream:
            data = json.loads(stream.read(_LONGEST))
    except (OSError, ValueError):
        return None
    if not isinstance(data, dict) or data.get("state") != state or not isinstance(data.get("names"), list):
        return None
    return [name for name in data["names"] if isinstance(name, str)]
