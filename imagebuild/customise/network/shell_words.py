"""Assignments in files that a shell reads: ``NAME=value``, ``export NAME='value'``, several on a line, comments behind them.

As much of POSIX's grammar as configuration files use: words with all kinds of quotes, comments, ``;``, ``&&`` and line breaks.
What else a file does is left as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_BLANK = " \t\r"
_SAFE = re.compile(r"[A-Za-z0-9_@%+:,./-]*")
_ANSI = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}


@dataclass(frozen=True)
class Assignment:
    """One assignment: its name, its value without quotes, and where it stands in the text."""

    name: str
    value: str
    begin: int
    end: int


@dataclass(frozen=True)
class _Token:
    kind: str
    """``word``, ``comment``, ``separator`` or ``end`` (of a line)."""
    begin: int
    end: int


def assignments(text: str) -> list[Assignment]:
    """All assignments of a text, in their order. What stands in front of a command (``A=1 command``) is one, too."""
    found = []
    for token in _tokens(text):
        head = _NAME.match(text, token.begin, token.end) if token.kind == "word" else None
        if head:
            name = head[0].rstrip("=").rstrip("+")
            found.append(Assignment(name, unquoted(text[head.end() : token.end]), token.begin, token.end))
    return found


def edit(
    text: str, change: Callable[[str, str], tuple[str, str] | None], comment: Callable[[str], bool] | None = None
) -> str:
    """``text`` with each assignment as ``change(name, value)`` wants it: a name and a value, or none for no assignment.

    A comment that ``comment`` is true for goes, too. A line that has nothing left goes as a whole.
    """
    edits: list[tuple[int, int, str]] = []
    for one in assignments(text):
        after = change(one.name, one.value)
        if after is None:
            edits.append((one.begin, one.end, ""))
        elif after != (one.name, one.value):
            edits.append((one.begin, one.end, f"{after[0]}={quoted(after[1])}"))
    if comment is not None:
        edits += [
            (token.begin, token.end, "")
            for token in _tokens(text)
            if token.kind == "comment" and comment(text[token.begin : token.end])
        ]
    return _applied(text, sorted(edits))


def _applied(text: str, edits: list[tuple[int, int, str]]) -> str:
    if not edits:
        return text
    parts = []
    for begin, end in _statements(text):
        inner = [one for one in edits if begin <= one[0] and one[1] <= end]
        parts.append(_line(text[begin:end], [(one[0] - begin, one[1] - begin, one[2]) for one in inner]))
    return "".join(parts)


def _statements(text: str) -> list[tuple[int, int]]:
    """Lines, in which quotes may hold line breaks."""
    ends = [token.end for token in _tokens(text) if token.kind == "end"]
    starts = [0, *ends]
    return [(begin, end) for begin, end in zip(starts, [*ends, len(text)], strict=True) if begin < end]


def _line(line: str, edits: list[tuple[int, int, str]]) -> str:
    if not edits:
        return line
    parts, at = [], 0
    for begin, end, new in edits:
        parts += [line[at:begin], new or "\0"]
        at = end
    edited = "".join([*parts, line[at:]])
    # What an assignment that went leaves: blanks, separators, and an `export` of nothing.
    edited = re.sub(r"(?:[ \t]*(?:;|&&)[ \t]*)?\0(?=[ \t]*(?:;|&&|#|\r?$))", "\0", edited)
    edited = re.sub(r"\0[ \t]*(?:;|&&)?[ \t]*", "\0", edited)
    edited = re.sub(
        r"(^|[;&])([ \t]*)(?:export|declare|typeset|local|readonly)[ \t]+\0+(?=[ \t]*(?:[;&#]|\r?\n?$))",
        r"\1\2",
        edited,
    )
    rest = edited.replace("\0", "").strip()
    if not rest or (rest.startswith("#") and not line.lstrip().startswith("#")):
        return ""
    return edited.replace("\0", "")


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char in _BLANK:
            at += 1
        elif char == "\n":
            found.append(_Token("end", at, at + 1))
            at += 1
        elif text.startswith("\\\n", at):
            at += 2
        elif char in ";&|()":
            found.append(_Token("separator", at, at + 1))
            at += 1
        elif char == "#":
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            found.append(_Token("comment", at, end))
            at = end
        else:
            end = _end_of_word(text, at)
            found.append(_Token("word", at, end))
            at = end
    return found


def _end_of_word(text: str, at: int) -> int:
    while at < len(text) and text[at] not in " \t\r\n;&|()":
        if text[at] == "\\":
            at += 2
        elif text.startswith("$'", at):
            at = _closing(text, at + 2, "'", escapes=True)
        elif text[at] == "'":
            at = _closing(text, at + 1, "'", escapes=False)
        elif text[at] == '"':
            at = _closing(text, at + 1, '"', escapes=True)
        else:
            at += 1
    return min(at, len(text))


def _closing(text: str, at: int, quote: str, *, escapes: bool) -> int:
    """Behind the quote that closes; a quote that nothing closes is taken for one on its line."""
    begin = at
    while at < len(text) and text[at] != quote:
        at += 2 if escapes and text[at] == "\\" else 1
    if at >= len(text):
        end = text.find("\n", begin)
        return len(text) if end < 0 else end
    return at + 1


def unquoted(word: str) -> str:
    """A word without its quotes; variables stay as they are written."""
    parts, at = [], 0
    while at < len(word):
        if word.startswith("$'", at):
            end = _closing(word, at + 2, "'", escapes=True)
            parts.append(re.sub(r"\\(.)", lambda found: _ANSI.get(found[1], found[0]), word[at + 2 : end - 1]))
        elif word[at] == "'":
            end = _closing(word, at + 1, "'", escapes=False)
            parts.append(word[at + 1 : end - 1])
        elif word[at] == '"':
            end = _closing(word, at + 1, '"', escapes=True)
            parts.append(re.sub(r'\\([$`"\\])', r"\1", word[at + 1 : end - 1]))
        elif word[at] == "\\":
            end = at + 2
            parts.append(word[at + 1 : end])
        else:
            end = at + 1
            parts.append(word[at])
        at = end
    return "".join(parts)


def quoted(value: str) -> str:
    """A word that a shell reads as ``value``."""
    return value if _SAFE.fullmatch(value) else "'" + value.replace("'", "'\\''") + "'"
