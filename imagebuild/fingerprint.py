"""Fingerprints: a step's result is identified by a digest of everything that can change it.

Inputs have names, so that a plan can say which of them changed. Deliberately not included: memory,
CPU count, time limits, paths of the host and the clock.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


def of(inputs: Mapping[str, str]) -> str:
    """The fingerprint of named inputs: SHA-256 in hexadecimal over their canonical JSON."""
    return text(json.dumps(dict(inputs), sort_keys=True, ensure_ascii=True))


def text(content: str) -> str:
    """The SHA-256 of a text in hexadecimal."""
    return hashlib.sha256(content.encode()).hexdigest()


@cache
def code(*places: str) -> str:
    """The digest of imagebuild's source files at ``places``, files or folders relative to the
    package. It is read once per process, which loads its code once, too.
    """
    return code_of(_sources(PACKAGE / place for place in places))


def code_of(paths: Iterable[Path]) -> str:
    """The digest of these source files, which must be in the package."""
    digest = hashlib.sha256()
    for path in sorted(set(paths)):
        digest.update(f"{path.relative_to(PACKAGE)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _sources(places: Iterable[Path]) -> Iterable[Path]:
    for place in places:
        if place.is_file():
            yield place
        else:
            yield from (path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The names of the inputs that differ, in the order of ``now``, removed ones last."""
    differing = [name for name in now if before.get(name) != now[name]]
    return differing + [name for name in before if name not in now]
