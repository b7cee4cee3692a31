"""What is wrong with a text that is not YAML, for people: how far a line should be indented, which
bracket is open."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from imagebuild.errors import Problem

_KEY_AND_VALUE = re.compile(r"\s*(?:- +)*([^\s:#\"'][^:]*): +(\S.*)")
_NO_SPACE = re.compile(r"\s*(?:- +)*([A-Za-z_][A-Za-z0-9_-]*):([^\s:/].*)")
_OPENED = {"while parsing a flow mapping": ("{", "}"), "while parsing a flow sequence": ("[", "]")}
_QUOTED = "while scanning a quoted scalar"


def explained(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    """The problem for the first error in ``text``, with its line and a hint how to fix it."""
    mark = error.problem_mark or error.context_mark
    said = error.problem or "this is not YAML"
    if mark is None:
        return Problem(file, None, "", said)
    lines = text.split("\n")
    found = _explanation(error, said, lines, mark.line)
    line = found.line if found.line is not None else mark.line
    return Problem(file, line + 1, "", found.message, found.hint)


@dataclass(frozen=True)
class _Explanation:
    message: str
    hint: str | None = None
    line: int | None = None
    """Counted from 0, if it is not the line where the parser noticed the error."""


def _explanation(error: yaml.MarkedYAMLError, said: str, lines: Sequence[str], line: int) -> _Explanation:
    """``line`` counts from 0."""
    context, opened = error.context or "", error.context_mark
    here = lines[line] if line < len(lines) else ""
    if "'\\t'" in said:
        return _Explanation("a tab cannot indent YAML", "indent with spaces, two for each level")
    if context in _OPENED and opened is not None:
        begin, end = _OPENED[context]
        at_end = "<stream end>" in said
        place = "this line" if opened.line == line or at_end else f"line {opened.line + 1}"
        message = f"the {begin!r} in {place} is not closed, or a comma is missing"
        return _Explanation(message, f"add {end!r}, or a comma", opened.line if at_end else None)
    if context == _QUOTED and opened is not None:
        quote = lines[opened.line][opened.column : opened.column + 1]
        return _Explanation("the quoted text that begins here has no end", f"add {quote} at its end", opened.line)
    if "mapping values are not allowed" in said:
        before = here[: error.problem_mark.column] if error.problem_mark else ""
        if (inner := _KEY_AND_VALUE.fullmatch(here)) and ": " in f"{before} ":
            value = inner[2].replace("\\", "\\\\").replace('"', '\\"')
            return _Explanation("a colon is not allowed in this value", f'put it in quotes: {inner[1]}: "{value}"')
        return _indented(lines, line) or _Explanation("a colon is not allowed here", "check the indentation")
    if "could not find expected ':'" in said:
        return _no_key(lines, opened.line if opened is not None else line)
    if "<block end>" in said and (found := _indented(lines, line)):
        return found
    return _Explanation(f"{context}: {said}" if context else said)


def _indented(lines: Sequence[str], line: int) -> _Explanation | None:
    """How far a line is indented, if that fits nothing before it, and how far it should be."""
    own = _indentation(lines[line])
    levels: dict[int, int] = {}
    """The line of each level that is open before ``line``, by its indentation."""
    for at, text in enumerate(lines[:line]):
        if text.strip() and not text.lstrip().startswith("#"):
            indentation = _indentation(text)
            levels = {level: where for level, where in levels.items() if level < indentation}
            levels[indentation] = at
    if own in levels or not levels:
        return None
    fits = [f"{level} like line {at + 1}" for level, at in sorted(levels.items(), reverse=True)[:2]]
    spaces = "space" if own == 1 else "spaces"
    return _Explanation(
        f"this line is indented by {own} {spaces}, which fits no line above it", f"indent it by {', or by '.join(fits)}"
    )


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _no_key(lines: Sequence[str], line: int) -> _Explanation:
    here = lines[line]
    if found := _NO_SPACE.fullmatch(here):
        return _Explanation("a space is missing after the colon", f"write {found[1]}: {found[2]}", line)
    word = here.strip()
    return _Explanation(
        "this line is neither `key: value` nor an item that begins with `- `",
        f"write {word}: …" if re.fullmatch(r"[A-Za-z_-]+", word) else None,
        line,
    )
