"""The images of the catalogue as `imagebuild list` prints them, remembered from the last time.

To compose and to check every recipe takes longer than to see that none has changed. The images are
kept with the SHA-256 of each file that was read for them, those of imagebuild's own code included,
one file for each set of folders. They are computed again if any of it differs, or if somebody else
may have written that file.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import platformdirs

from imagebuild.fingerprint import PACKAGE
from imagebuild.host import looked_at, private_files
from imagebuild.host.looked_at import LookedAt
from imagebuild.recipe.folders import available

_LONGEST = 1 << 24
"""Bytes of a file with images that are read."""
_LIBRARIES = ("pydantic.version", "pykickstart.version", "yaml.__init__")
"""Modules of other projects that have their version."""
_CODE = (".py", ".pyc")
_STARTED = time.time()
"""Code that is newer may not be what this process has loaded."""


@dataclass(frozen=True)
class KnownImage:
    """An image of the catalogue, or a recipe file with problems that yields none."""

    name: str
    file: str
    description: str
    problems: int
    axes: dict[str, str | int | bool]
    variables: tuple[str, ...] = ()


def known_images(
    folders: Sequence[Path], compute: Callable[[], list[KnownImage]], kept: Path | None = None
) -> list[KnownImage]:
    """The images of the recipes in ``folders``, which ``compute`` computes if they are not remembered.

    ``kept`` is the folder of the remembered ones (default: below the user's cache).
    """
    place = kept or platformdirs.user_cache_path("imagebuild-catalogue")
    where = [str(Path.cwd()), os.environ.get("HOME", ""), *map(str, folders)]
    file = place / f"{hashlib.sha256(repr(where).encode()).hexdigest()[:16]}.json"
    there = {"where": where, "names": _names(folders), "libraries": _libraries()}
    found = _remembered(file, there)
    if found is None:
        with looked_at.noting() as seen:
            found = compute()
        if seen.is_whole and (code := _code()):
            record = {**there, "seen": vars(seen), "code": code, "images": [vars(one) for one in found]}
            private_files.write(file, json.dumps(record).encode())
    return found


def _names(folders: Sequence[Path]) -> list[str]:
    return [str(path) for path in available(folders).values()]


def _libraries() -> list[str]:
    """What the result depends on besides files of the user and imagebuild's code."""
    found = [sys.version]
    for module in _LIBRARIES:
        package, _, name = module.partition(".")
        spec = find_spec(package)
        folder = Path(spec.origin).parent if spec and spec.origin else Path()
        found.append(_digest(folder / f"{name}.py"))
    return found


def _code() -> dict[str, str]:
    """The digests of imagebuild's source files that this process has loaded, of files of data beside them,
    and of the names in their folders, since operations and checks are found by theirs. Empty if one of
    them has changed after it was loaded.
    """
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == PACKAGE.name]
    files = {Path(str(module.__file__)) for module in modules if getattr(module, "__file__", None)}
    folders = {one.parent for one in files}
    files |= {one for folder in folders for one in folder.iterdir() if one.is_file() and one.suffix not in _CODE}
    if any(one.stat().st_mtime > _STARTED for one in files):
        return {}
    return {str(one): _digest(one) for one in (*files, *folders)}


def _digest(path: Path) -> str:
    """The SHA-256 of a file's content, or of the names in a folder."""
    try:
        if path.is_dir():
            names = sorted(name for name in os.listdir(path) if name != "__pycache__")  # noqa: PTH208
            return hashlib.sha256(repr(names).encode()).hexdigest()
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _remembered(file: Path, there: dict[str, Any]) -> list[KnownImage] | None:
    try:
        record = json.loads(private_files.read(file, _LONGEST) or b"")
        if any(record[key] != value for key, value in there.items()):
            return None
        code = record["code"]
        if not LookedAt(**record["seen"]).is_current() or any(_digest(Path(one)) != code[one] for one in code):
            return None
        return [KnownImage(**one) for one in record["images"]]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
