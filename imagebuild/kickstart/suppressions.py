"""Silences: comments in a kickstart or its template that say which finding is meant so, and why.

    part swap --size=512     # imagebuild: ignore swap: the database needs it

A comment counts for its own line; one that stands alone for the next line that is no comment; and one before all commands also
for findings that have no line, such as that something is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_SILENCE = re.compile(r"(?:^|\s)#\s*imagebuild:\s*ignore\b\s*([^\s:]*)\s*:?\s*(.*)$")


class Silence(NamedTuple):
    """A comment in line ``line`` (from 1): it silences ``rule`` in the lines ``covers``; None is the whole file."""

    line: int
    rule: str
    reason: str
    covers: tuple[int | None, ...]


def silences(text: str) -> Iterator[Silence]:
    """Every such comment of a kickstart; whether rule and reason are good ones is for the caller to say."""
    if "imagebuild:" not in text:
        return
    waiting: list[Silence] = []
    begun = False
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        alone = bare.startswith("#")
        match = _SILENCE.search(line)
        made = Silence(number, match[1], match[2].strip(), (number,)) if match else None
        if alone:
            waiting += [made] if made else []
            continue
        if bare or begun:
            whole = () if begun else (None,)
            yield from (one._replace(covers=(number, *whole)) for one in waiting)
            waiting = []
        begun = begun or bool(bare)
        if made:
            yield made
    yield from (one._replace(covers=() if begun else (None,)) for one in waiting)


def without_comments(text: str) -> str:
    """``text`` with the comments outside of sections emptied: they mean nothing to an installer.

    So kickstarts that differ in their comments alone are read once.
    """
    lines = text.split("\n")
    inside = False
    for index, line in enumerate(lines):
        if line.startswith("%"):
            inside = not line.startswith("%end")
        elif not inside and line.startswith("#"):
            lines[index] = "#"
    return "\n".join(lines)
