"""Mistakes that would cause a chain of errors, found where pykickstart reports the errors: each is
reported once, at its line, and repaired in the text, so that the rest can be checked.

- ``%end`` without a section, or one that ends a section too early, such as in a here-document.
- A backslash at the end of a line: kickstarts have no continued lines.
- Templates of another program, such as Jinja2: their markup is not kickstart syntax.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from typing import Any

from imagebuild.kickstart import here_documents
from imagebuild.kickstart.divide import MAX_LINE, SCRIPTS, SECTIONS, first_word
from imagebuild.kickstart.parsed import Said

_STRAY = "%end without a section"
_EARLY = "this %end ends the section too early: the lines after it, up to the next %end, are no kickstart commands"
_IN_HERE = "this %end ends the section, although it is in a here-document"
_AVOID = "begin the line with something else, for example with printf, and a quoted '%end'"
_TEMPLATES = (
    ("Jinja2", re.compile(r"\{%-?\s*\w|\{\{.*?\}\}|\{#.*?#\}")),
    ("ERB", re.compile(r"<%[-=#]?.*?%>|<%")),
    ("Cheetah", re.compile(r"^\s*(?:#(?:if|else|elif|end|set|for|import|include|raw)\b|\$\{?\w+)|\$SNIPPET\(")),
    ("Terraform or shell", re.compile(r"%\{.*?\}|\$\{.*?\}")),
)  # fmt: skip


def repaired(lines: list[str], handler: Any, wrong: Set[int | None]) -> list[Said]:
    """Repair ``lines``, in which pykickstart found errors at the lines ``wrong``; returns what was
    repaired. ``handler`` knows the commands.
    """
    return [*_joined(lines, wrong), *_ends(lines, handler)]


def _joined(lines: list[str], wrong: Set[int | None]) -> Iterator[Said]:
    """Join lines that a backslash continues, if pykickstart refuses one of them."""
    inside = False
    index = 0
    while index < len(lines):
        word = first_word(lines[index][:MAX_LINE])
        if inside or word in SECTIONS:
            inside = word != "%end"
        elif _continues(lines[index]) and not word.startswith("#"):
            last = index
            while last + 1 < len(lines) and _continues(lines[last]):
                last += 1
            if any(number in wrong for number in range(index + 1, last + 2)):
                whole = " ".join(line.rstrip().removesuffix("\\").strip() for line in lines[index : last + 1])
                lines[index : last + 1] = [whole + "\n", *["\n"] * (last - index)]
                yield Said(
                    index + 1,
                    f"{word} ends with a backslash, but a line of a kickstart cannot be continued",
                    "write all of it on one line",
                )
                index = last
        index += 1


def _continues(line: str) -> bool:
    bare = line.rstrip("\r\n")
    return (len(bare) - len(bare.rstrip("\\"))) % 2 == 1


def _ends(lines: list[str], handler: Any) -> Iterator[Said]:
    """Blank each %end that ends no section, or else the earlier one that ended the section too early."""
    opened: int | None = None
    ended: int | None = None
    for index, line in enumerate(lines):
        word = first_word(line[:MAX_LINE]) if "%" in line else ""
        if word in SECTIONS or (opened is None and _is_unknown_section(word)):
            opened, ended = index, None
        elif word == "%end" and opened is not None:
            ended, last, opened = index, opened, None
        elif word == "%end":
            early = ended is not None and _goes_on(lines[ended + 1 : index], handler)
            if ended is None or not early:
                lines[index] = "\n"
                yield Said(index + 1, _STRAY, "remove it")
                continue
            script = first_word(lines[last]) in SCRIPTS
            here = script and here_documents.still_open(lines[last + 1 : ended])
            lines[ended] = "\n"
            yield Said(ended + 1, _IN_HERE if here else _EARLY, _AVOID if here else "remove it")
            ended = index


def _is_unknown_section(word: str) -> bool:
    return word.startswith("%") and word not in ("%end", "%include", "%ksappend")


def _goes_on(between: list[str], handler: Any) -> bool:
    """Whether the first line after a %end continues the section, because it is no command."""
    first = next((line for line in between if line.strip() and not line.lstrip().startswith("#")), "")
    word = first_word(first)
    return bool(word) and not word.startswith("%") and not handler.knows(word)


def without_template_lines(text: str, wrong: list[Said]) -> list[Said]:
    """``wrong`` with one error instead of all those that a template's markup causes."""
    if not wrong or not any(mark in text for mark in ("{", "<%", "$")):
        return wrong
    lines = text.splitlines()
    kinds = {said: _kind(lines, said.line) for said in wrong}
    first = next((said for said in sorted(wrong, key=lambda said: said.line or 0) if kinds[said]), None)
    if first is None:
        return wrong
    message = f"this is a template ({kinds[first]}), not a kickstart: its markup is not kickstart syntax"
    named = Said(first.line, message, "lint the kickstart that is made from it")
    return [named, *(said for said in wrong if not kinds[said])]


def _kind(lines: list[str], number: int | None) -> str | None:
    line = lines[number - 1][:MAX_LINE] if number and number <= len(lines) else ""
    return next((name for name, pattern in _TEMPLATES if pattern.search(line)), None)
