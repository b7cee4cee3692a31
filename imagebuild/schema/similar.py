"""Known names that a misspelled one may mean."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint with the closest matches of ``known``, or with all of them if they are few."""
    names = list(known)
    near = close(word, names)
    if near:
        return f"did you mean {near[0]!r}?"
    if 0 < len(names) <= 12:
        return f"known: {', '.join(names)}"
    return None


def close(word: str, known: Iterable[str]) -> list[str]:
    """Those of ``known`` that ``word`` may be a misspelling of, the closest one first."""
    return difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
