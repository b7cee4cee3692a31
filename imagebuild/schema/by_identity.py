"""Results that are kept for objects that are never changed: the images of a matrix share most of
their values.

An object is found by what it is and not by what it contains: to compare it would take longer than
most of what is saved.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Generic, TypeVar

Key = TypeVar("Key")
Result = TypeVar("Result")
MOST = 4096
"""Results that are kept; before one more, all are dropped."""


class ByIdentity(Generic[Key, Result]):
    """Results by the object that they belong to."""

    def __init__(self) -> None:
        # The object is kept, too: as long as it exists, no other has its id.
        self._known: dict[int, tuple[Key, Result]] = {}

    def get(self, key: Key) -> tuple[Key, Result] | None:
        """The object and its result; None if there is none."""
        return self._known.get(id(key))

    def keep(self, key: Key, result: Result) -> None:
        """Keep the result of an object."""
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[id(key)] = key, result


def by_identity(make: Callable[[Key], Result]) -> Callable[[Key], Result]:
    """``make``, which is called once for each object. Nobody may change what it returns."""
    kept = ByIdentity[Key, Result]()

    @wraps(make)
    def call(key: Key) -> Result:
        found = kept.get(key)
        if found is None:
            found = key, make(key)
            kept.keep(*found)
        return found[1]

    return call
