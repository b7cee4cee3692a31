"""A difference as Markdown, for the description of a merge request or a comment on it.

Everything from a guest is inside code spans, which GitHub and GitLab show as it is (CommonMark
0.31.2, 6.1): a file name cannot become a link, an image, a mention or HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from imagebuild.contents.compare import ImageDiff
from imagebuild.contents.difference import ListedChanges, sections, sizes
from imagebuild.contents.gates import FiredGate
from imagebuild.printable import one_line

_MOST_OPEN = 10
"""Rows of a section that is not folded."""


def text(diff: ImageDiff, names: tuple[str, str], fired: Iterable[FiredGate], *, everything: bool = False) -> str:
    """The whole difference as a document."""
    return "\n".join(_lines(diff, names, list(fired), everything=everything)) + "\n"


def _lines(diff: ImageDiff, names: tuple[str, str], fired: list[FiredGate], *, everything: bool) -> Iterator[str]:
    yield from ("### What changes in the image", "", f"From {code(names[0])} to {code(names[1])}.", "")
    if fired:
        yield from ("**Gates that do not pass**", "")
        yield from (f"- {code(one.gate)}: {code(one.message)}" for one in fired)
        yield ""
    yield from ("| size | before | after | difference |", "|---|--:|--:|--:|")
    yield from (f"| {' | '.join(row)} |" for row in sizes(diff))
    if diff.is_empty:
        yield from ("", "The contents are the same.")
    for section in sections(diff, everything=everything):
        yield ""
        yield from _section(section)


def _section(section: ListedChanges) -> Iterator[str]:
    head = f"{section.title}: {section.counts}" if section.counts else section.title
    folded = len(section.rows) > _MOST_OPEN
    yield from (f"<details><summary>{head}</summary>", "") if folded else (f"**{head}**", "")
    yield from ("| | | |", "|---|---|---|")
    for sign, name, details in section.rows:
        yield f"| {sign} | {_cell(name)} | {_cell(details) if details else ''} |"
    if section.left:
        yield from ("", f"… and {section.left} more.")
    if folded:
        yield from ("", "</details>")


def code(content: str) -> str:
    """``content`` as a code span that nothing in it can end."""
    safe = one_line(content)
    fence = "`" * (max((len(run) for run in re.findall("`+", safe)), default=0) + 1)
    return f"{fence} {safe} {fence}" if "`" in safe else f"{fence}{safe or ' '}{fence}"


def _cell(content: str) -> str:
    """The same in a table, where a vertical bar needs a backslash even in a code span (GFM, 4.10)."""
    return code(content).replace("|", "\\|")
