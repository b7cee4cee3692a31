"""Assignments in shell files: ``NAME=value``, ``export NAME='value'``, several on a line, comments
after them.

Supports as much of POSIX's grammar as configuration files use: words with all kinds of quotes,
comments, ``;``, ``&&`` and line breaks. Everything else in a file is left unchanged.
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
_DECLARING = {"export", "declare", "typeset", "local", "readonly"}
_ANSI = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}


@dataclass(frozen=True)
class PlacedAssignment:
    """One assignment: its name, its value without quotes, and its position in the text."""

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


def assignments(text: str) -> list[PlacedAssignment]:
    """All assignments of a text, in their order. Assignments before a command (``A=1 command``) are
    included."""
    found = []
    for token in _tokens(text):
        head = _NAME.match(text, token.begin, token.end) if token.kind == "word" else None
        if head:
            name = head[0].rstrip("=").rstrip("+")
            found.append(PlacedAssignment(name, unquoted(text[head.end() : token.end]), token.begin, token.end))
    return found


def edit(
    text: str, change: Callable[[str, str], tuple[str, str] | None], comment: Callable[[str], bool] | None = None
) -> str:
    """``text`` with each assignment replaced by the result of ``change(name, value)``: a name and a
    value, or nothing.

    A comment for which ``comment`` is true is removed, too. A line that becomes empty is removed
    completely.
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
    parts: list[str] = []
    line: list[_Token] = []
    at = 0
    for token in [*_tokens(text), _Token("end", len(text), len(text))]:
        line.append(token)
        if token.kind == "end":
            inner = {(begin, end): new for begin, end, new in edits if at <= begin and end <= token.end}
            parts.append(_line(text, at, line, inner) if inner else text[at : token.end])
            at, line = token.end, []
    return "".join(parts)


def _line(text: str, at: int, tokens: list[_Token], edits: dict[tuple[int, int], str]) -> str:
    """A line with its commands changed; empty if no command is left. ``at`` is its position."""
    tail = next(token.begin for token in tokens if token.kind in ("comment", "end"))
    comment = next((token for token in tokens if token.kind == "comment"), None)
    commands: list[tuple[str, str]] = []
    words: list[_Token] = []
    begin, had_words = at, False
    for token in [*(token for token in tokens if token.begin < tail), _Token("separator", tail, tail)]:
        if token.kind == "word":
            words.append(token)
            had_words = True
        elif words or token.end > token.begin:
            commands.append((_command(text, begin, token.begin, words, edits), text[token.begin : token.end]))
            begin, words = token.end, []
    kept = _joined(commands) + (text[begin:tail] if begin < tail and commands and commands[-1][0] != "\0" else "")
    behind = text[tail : tokens[-1].end]
    if comment is not None and (comment.begin, comment.end) in edits:
        kept, behind = kept.rstrip(" \t"), text[comment.end : tokens[-1].end]
    if not kept.strip() and (had_words or not behind.strip()):
        return ""
    glued = behind.startswith("#") and kept and kept[-1] not in " \t"
    return f"{kept} {behind}" if glued else kept + behind


def _command(text: str, begin: int, end: int, words: list[_Token], edits: dict[tuple[int, int], str]) -> str:
    """A command with its words changed; ``\0`` if it had words and none is left."""
    changed = [edits.get((word.begin, word.end), text[word.begin : word.end]) for word in words]
    gone = [not one and (word.begin, word.end) in edits for one, word in zip(changed, words, strict=True)]
    left = [text[word.begin : word.end] for word, lost in zip(words, gone, strict=True) if not lost]
    if any(gone) and not [word for word in left if word not in _DECLARING]:
        return "\0"
    parts, at = [], begin
    for word, new, lost in zip(words, changed, gone, strict=True):
        parts += ["" if lost else text[at : word.begin], new]
        at = word.end
    return "".join([*parts, text[at:end]])


def _joined(commands: list[tuple[str, str]]) -> str:
    """Commands with the separators after them; the separator of a removed command is removed too,
    or the one before it if it was the last."""
    kept = [(at, command, separator) for at, (command, separator) in enumerate(commands) if command != "\0"]
    parts: list[str] = []
    for at, command, separator in kept:
        was_first = at == 0 or parts
        parts += [command if was_first else command.lstrip(" \t"), separator]
    if commands and commands[-1][0] == "\0" and parts:
        parts.pop()
    return "".join(parts)


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
        elif text.startswith(("&&", "||", ";;"), at):
            found.append(_Token("separator", at, at + 2))
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
    """The position after the closing quote; an unclosed quote ends with its line."""
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
    """A word that a shell evaluates to ``value``."""
    return value if _SAFE.fullmatch(value) else "'" + value.replace("'", "'\\''") + "'"
