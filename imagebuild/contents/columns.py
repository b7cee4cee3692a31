"""Text in columns. What is padded is made safe to print first, because an escape is longer than
what it stands for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from imagebuild.printable import one_line

_MOST_COLUMNS = 60
"""Characters of a cell that the other rows make room for."""


def aligned(rows: Iterable[Sequence[str]], *, right: Sequence[int] = (), indent: str = "  ") -> list[str]:
    """Rows as lines; the columns with the numbers ``right`` are aligned to the right. The last
    column is not padded."""
    safe = [[one_line(cell) for cell in row] for row in rows]
    count = max((len(row) for row in safe), default=0)
    widths = [
        min(_MOST_COLUMNS, max((len(row[at]) for row in safe if len(row) > at), default=0)) for at in range(count)
    ]
    return [
        indent + "  ".join(f"{cell:{'>' if at in right else '<'}{widths[at]}}" for at, cell in enumerate(row)).rstrip()
        for row in safe
    ]
