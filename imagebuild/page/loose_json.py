"""Values of a JSON document of which nothing is known: what has another type counts as absent. Pure."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

_LARGEST_NUMBER = 1 << 62


def document(content: bytes) -> dict[str, Any] | None:
    """The object in a JSON text; None for anything else."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def at(value: object, *keys: str) -> object:
    """What is at the end of these keys; None if one of them is missing."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def text(value: object) -> str:
    """The text; empty for anything else."""
    return value if isinstance(value, str) else ""


def count(value: object) -> int | None:
    """A whole number that is not negative."""
    return value if type(value) is int and 0 <= value < _LARGEST_NUMBER else None


def seconds(value: object) -> float | None:
    """A duration."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < _LARGEST_NUMBER and math.isfinite(value) else None


def time(value: object) -> datetime | None:
    """A point in time in ISO 8601, in UTC. One without a time zone is taken as UTC."""
    try:
        found = datetime.fromisoformat(text(value))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def mapping(value: object) -> dict[str, Any]:
    """The object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def texts(value: object) -> tuple[str, ...]:
    """The texts in a list."""
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
