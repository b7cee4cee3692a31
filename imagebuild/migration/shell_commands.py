"""Finds the commands of virt-customize and virt-sysprep in a shell script.

This is no shell: it knows quotes, continued lines and assignments of plain values. Whatever else a
shell would replace stays in the words, and is marked as unknown.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from imagebuild.errors import UsageError

_BEFORE = r"^[ \t]*(?:\$ |\$[({]\w+[)}] )?(?:if |! |time |[A-Za-z_]\w*=\S* |sudo (?:-\S+ )*)*"
_COMMAND = re.compile(rf"{_BEFORE}(?:\S*/)?(?P<tool>virt-customize|virt-sysprep)(?=[\s\\]|$)", re.MULTILINE)
_ASSIGNED = re.compile(
    r"^[ \t]*(?:export |readonly |local )?(?P<name>[A-Za-z_]\w*)=(?P<value>[^;&|\n]*)$", re.MULTILINE
)
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>[A-Za-z_]\w*)\}|(?P<plain>[A-Za-z_]\w*))")
_KEPT = {"$": "\ue000", "`": "\ue001"}
"""Characters that the shell does not act on because they are quoted, while the text is split."""
_ENDS = ";|&<>\n"
_LONGEST = 128 << 10
"""The most characters of a word; Linux accepts no longer argument of a program (execve(2))."""
_MOST_VARIABLES = 100
"""The most variables that are replaced in a word."""


@dataclass(frozen=True)
class Word:
    """A word of a command. ``open`` is what the shell would have replaced in it, if that is not
    known."""

    text: str
    open: str = ""


@dataclass(frozen=True)
class ShellCommand:
    """A command: the tool, its arguments, and the line where it begins."""

    tool: str
    words: tuple[Word, ...]
    line: int


def commands(text: str, file: str) -> Iterator[ShellCommand]:
    """The commands in a script. Raises UsageError for a quote without an end."""
    known = _assignments(text)
    line, counted = 1, 0
    for found in _COMMAND.finditer(text):
        line += text.count("\n", counted, found.start("tool"))
        counted = found.start("tool")
        try:
            words = shlex.split(_marked(text, found.end()), comments=False)
        except ValueError as error:
            raise UsageError(f"{file}:{line}: a quote of this command has no end") from error
        given = tuple(_word(one, known) for one in _arguments(words))
        if any(len(word.text) > _LONGEST for word in given):
            raise UsageError(f"{file}:{line}: a word of this command is longer than {_LONGEST >> 10} KiB")
        yield ShellCommand(found["tool"], given, line)


def is_script(text: str) -> bool:
    """Whether a text has commands, and is not a list for --commands-from-file."""
    return _COMMAND.search(text) is not None


def _marked(text: str, at: int = 0) -> str:
    """The text from ``at`` to the end of a command, without line continuations; quoted characters
    that the shell does not replace are marked."""
    made: list[str] = []
    quote = ""
    while at < len(text):
        char = text[at]
        if quote == "'" and char != "'":
            made.append(_KEPT.get(char, char))
        elif char == "\\" and quote != "'":
            at += 1
            after = text[at : at + 1]
            made.append("" if after == "\n" else _KEPT.get(after, f"\\{after}"))
        elif char in "'\"" and quote in ("", char):
            quote = "" if quote else char
            made.append(char)
        elif not quote and char in _ENDS:
            break
        else:
            made.append(char)
        at += 1
    return "".join(made)


def _arguments(words: list[str]) -> list[str]:
    """The words without a comment at the end, and without the number of a redirection."""
    comment = next((at for at, word in enumerate(words) if word.startswith("#") and not _takes(words, at)), len(words))
    kept = words[:comment]
    return kept[:-1] if kept and kept[-1] in ("1", "2") and not _takes(words, len(kept) - 1) else kept


def _takes(words: list[str], at: int) -> bool:
    """Whether the word before ``at`` is an option, of which this may be the value."""
    return at > 0 and words[at - 1].startswith("-")


def _word(word: str, known: dict[str, str]) -> Word:
    def value(found: re.Match[str]) -> str:
        return known.get(found["braced"] or found["plain"], found[0])

    text = _VARIABLE.sub(value, word) if word.count("$") <= _MOST_VARIABLES else word
    left = re.search(r"\$(?:\{[^}]*\}?|\(.*|\w+|[@*#?!])|`[^`]*`?", text)
    for plain, mark in _KEPT.items():
        text = text.replace(mark, plain)
    return Word(text, left[0] if left else "")


def _assignments(text: str) -> dict[str, str]:
    """Variables that the script sets to one plain value, and the caller's home folder."""
    known: dict[str, str] = {"HOME": "~"}
    several: set[str] = set()
    for found in _ASSIGNED.finditer(text):
        name = found["name"]
        try:
            words = shlex.split(_marked(found["value"]), comments=True)
        except ValueError:
            words = ["$"]
        value = words[0] if len(words) == 1 else "" if not words else "$"
        if "$" in value or "`" in value or len(value) > _LONGEST or known.get(name, value) != value:
            several.add(name)
        known[name] = value
    return {name: value for name, value in known.items() if name not in several}
