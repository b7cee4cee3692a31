"""Suppressions: comments in a kickstart or its template that name a finding to ignore, and the
reason.

    part swap --size=512     # imagebuild: ignore swap: the database needs it

A comment applies to its own line. If it is on a line of its own, it applies to the next line that
is not a comment. One before the first command also applies to findings without a line, such as a
missing command.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_SUPPRESSION = re.compile(r"(?:^|\s)#\s*imagebuild:\s*ignore\b\s*([^\s:]*)\s*:?\s*(.*)$")


_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""The characters that end a line for pykickstart."""


class Suppression(NamedTuple):
    """A comment on line ``line`` (from 1) that suppresses ``rule`` on the lines ``covers``; None is
    the whole file.
    """

    line: int
    rule: str
    reason: str
    covers: tuple[int | None, ...]


def suppressions(text: str) -> Iterator[Suppression]:
    """All suppressions in a kickstart. The caller checks their rules and reasons."""
    if "imagebuild:" not in text:
        return
    waiting: list[Suppression] = []
    begun = False
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        alone = bare.startswith("#")
        match = _SUPPRESSION.search(line)
        made = Suppression(number, match[1], match[2].strip(), (number,)) if match else None
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
    """``text`` with the comments outside sections emptied: installers ignore them.

    Kickstarts that differ only in comments are then parsed once.
    """
    if "#" not in text:
        return text
    lines = text.splitlines(keepends=True)  # as pykickstart splits it: also at a form feed
    inside = False
    for index, line in enumerate(lines):
        if line.startswith("%"):
            inside = not line.startswith("%end")
        elif not inside and line.startswith("#"):
            lines[index] = "#" + line[len(line.rstrip(_LINE_ENDS)) :]
    return "".join(lines)
