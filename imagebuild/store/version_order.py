"""Which of two versions of an image is the newer one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_VERSION = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\.([0-9]{1,9})")


def key(version: str) -> tuple[str, int] | None:
    """A version (a date and a counter) as a value to sort by; None for text that is none."""
    found = _VERSION.fullmatch(version)
    return (found[1], int(found[2])) if found else None


def is_older(one: str, other: str) -> bool:
    """Whether ``one`` is older than ``other``; False if that cannot be said."""
    first, second = key(one), key(other)
    return first is not None and second is not None and first < second


def newest(versions: Iterable[str]) -> str:
    """The newest of these versions; empty if none can be compared."""
    known = [(found, one) for one in versions if (found := key(one)) is not None]
    return max(known)[1] if known else ""
