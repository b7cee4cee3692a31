"""Files of shell assignments, such as /etc/default/grub, parsed like a shell does (POSIX, "Shell
Command Language"). Pure functions.

Nothing is executed. Values that a shell would have to compute are marked as such, not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from imagebuild.errors import GuestError

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?)=", re.ASCII)
_NAME = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)
_OPENING = frozenset(["if", "while", "until", "for", "case", "select", "{"])
_CLOSING = frozenset(["fi", "done", "esac", "}"])
_BETWEEN = frozenset(["then", "else", "elif", "do", "!"])
_DECLARING = frozenset(["export", "readonly", "declare", "typeset", "local"])
_ENDS = frozenset(" \t\n;&|()<>")


@dataclass(frozen=True)
class ValuePart:
    """A piece of a value: a literal text, the name of a variable, or the source of a computed part."""

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Assignment:
    """``NAME=VALUE`` in a text: the position of the value, its parts, and the line on which it
    begins.

    ``certain`` means that it is executed whenever the file is read. ``append`` means that it is
    ``NAME+=VALUE``.
    """

    name: str
    start: int
    end: int
    parts: tuple[ValuePart, ...]
    line: int
    certain: bool
    append: bool

    @property
    def references(self) -> set[str]:
        """The variables in its value, including itself if it is appended to."""
        return {part.text for part in self.parts if part.kind == "variable"} | ({self.name} if self.append else set())

    @property
    def is_computed(self) -> bool:
        """Whether a shell would have to compute its value."""
        return any(part.kind == "computed" for part in self.parts)


def value(assignment: Assignment, variables: Mapping[str, str]) -> str:
    """The value with ``variables`` set; computed parts count as empty."""
    found = variables.get(assignment.name, "") if assignment.append else ""
    for part in assignment.parts:
        if part.kind != "computed":
            found += part.text if part.kind == "text" else variables.get(part.text, "")
    return found


def quoted(parts: tuple[ValuePart, ...]) -> str:
    """A value as a word for a shell, in double quotes."""
    written = ""
    for part in parts:
        text = re.sub(r'(["\\$`])', r"\\\1", part.text) if part.kind == "text" else part.text
        written += f"${{{text}}}" if part.kind == "variable" else text
    return f'"{written}"'


def assignments(text: str) -> list[Assignment]:
    """All assignments of a file, in their order. GuestError for text that no shell could parse, and
    for here-documents."""
    return list(_Reader(text).read())


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._command = True
        """Whether a command may begin here."""
        self._condition = False
        """Whether the command before decides if this one is run."""
        self._declaring = False
        self._before_command: list[Assignment] = []

    def read(self) -> Iterator[Assignment]:
        while self._at < len(self._text):
            char = self._text[self._at]
            if char in " \t":
                self._at += 1
            elif self._text.startswith("\\\n", self._at):
                self._at += 2
            elif char == "#":
                self._at = self._line_end()
            elif char in "\n;&|":
                yield from self._ended()
                self._condition = self._operator() in ("&&", "||", "|")
            elif char in "()":
                self._depth = max(0, self._depth + (1 if char == "(" else -1))
                self._at += 1
                self._command = True
            elif char in "<>":
                self._redirection()
            else:
                yield from self._word()
        yield from self._ended()

    def _line_end(self) -> int:
        end = self._text.find("\n", self._at)
        return len(self._text) if end < 0 else end

    def _operator(self) -> str:
        found = re.compile(r"&&|\|\||;+&?|[\n&|]").match(self._text, self._at)
        assert found is not None
        self._at = found.end()
        return found[0]

    def _redirection(self) -> None:
        if self._text.startswith("<<", self._at):
            raise self._unreadable("a here-document")
        self._at += 2 if self._text[self._at : self._at + 2] in (">>", "<&", ">&", "<>", ">|") else 1

    def _ended(self) -> Iterator[Assignment]:
        """Forget what preceded a command, at its end."""
        yield from self._before_command
        self._before_command = []
        self._command, self._declaring, self._condition = True, False, False

    def _word(self) -> Iterator[Assignment]:
        start = self._at
        found = _ASSIGNMENT.match(self._text, start)
        if found and (self._command or self._declaring):
            self._at = found.end()
            parts = self._value()
            certain = self._depth == 0 and not self._condition
            line = self._text.count("\n", 0, start) + 1
            one = Assignment(found[1], found.end(), self._at, parts, line, certain, bool(found[2]))
            if self._declaring:
                yield one
            else:
                self._before_command.append(one)
            return
        self._value()
        if not self._command:
            return
        word = self._text[start : self._at]
        if word in _OPENING or word in _CLOSING:
            self._depth = max(0, self._depth + (1 if word in _OPENING else -1))
            self._command = word not in ("for", "case", "select")
        elif word not in _BETWEEN:
            self._command = False
            self._declaring = word in _DECLARING
            self._before_command = []  # they apply only to this command

    def _value(self) -> tuple[ValuePart, ...]:
        """The parts of the word that begins here."""
        parts: list[ValuePart] = []
        while self._at < len(self._text) and (char := self._text[self._at]) not in _ENDS:
            if char == "\\":
                parts.append(ValuePart(self._text[self._at + 1 : self._at + 2].replace("\n", "")))
                self._at = min(self._at + 2, len(self._text))
            elif char == "'":
                end = self._closing("'")
                parts.append(ValuePart(self._text[self._at + 1 : end]))
                self._at = end + 1
            elif char == '"':
                self._at += 1
                parts += self._in_double_quotes()
            elif char in "$`":
                parts.append(self._expansion())
            else:
                computed = char == "~" and not parts
                parts.append(ValuePart(char, "computed" if computed else "text"))
                self._at += 1
        return _merged(parts)

    def _in_double_quotes(self) -> Iterator[ValuePart]:
        while True:
            char = self._text[self._at : self._at + 1]
            if not char:
                raise self._unreadable("an unclosed quote")
            if char == '"':
                self._at += 1
                return
            if char in "$`":
                yield self._expansion()
            elif char == "\\" and (following := self._text[self._at + 1 : self._at + 2]) in tuple('$`"\\\n'):
                yield ValuePart("" if following == "\n" else following)
                self._at += 2
            else:
                yield ValuePart(char)
                self._at += 1

    def _expansion(self) -> ValuePart:
        """The expansion that begins with a dollar sign or a backtick here."""
        if found := _NAME.match(self._text, self._at):
            self._at = found.end()
            return ValuePart(found[1] or found[2], "variable")
        start = self._at
        if self._text[start] == "`":
            self._at = self._closing("`") + 1
        elif self._text[start + 1 : start + 2] in ("(", "{"):
            self._at = self._matching(start + 1) + 1
        elif re.match(r"[\w@*#?$!'\"-]", self._text[start + 1 : start + 2]):
            self._at += 2
            if self._text[start + 1] in "'\"":
                self._at = self._closing(self._text[start + 1], start + 2) + 1
        else:
            self._at += 1
            return ValuePart("$")
        return ValuePart(self._text[start : self._at], "computed")

    def _closing(self, quote: str, start: int | None = None) -> int:
        """The end of the quote that begins here, or that ``start`` is inside of."""
        at = self._at + 1 if start is None else start
        while at < len(self._text) and self._text[at] != quote:
            at += 2 if self._text[at] == "\\" and quote != "'" else 1
        if at >= len(self._text):
            raise self._unreadable("an unclosed quote")
        return at

    def _matching(self, start: int) -> int:
        """Where the bracket at ``start`` is closed."""
        opening = self._text[start]
        closing = {"(": ")", "{": "}"}[opening]
        depth, at = 0, start
        while at < len(self._text):
            char = self._text[at]
            if char in "'\"`":
                at = self._closing(char, at + 1)
            elif char == "\\":
                at += 1
            elif char == opening:
                depth += 1
            elif char == closing:
                depth -= 1
                if depth == 0:
                    return at
            at += 1
        raise self._unreadable("an unclosed bracket")

    def _unreadable(self, what: str) -> GuestError:
        return GuestError(f"line {self._text.count(chr(10), 0, self._at) + 1} has {what}, and cannot be read")


def _merged(parts: list[ValuePart]) -> tuple[ValuePart, ...]:
    """Adjacent texts merged into one."""
    found: list[ValuePart] = []
    for part in parts:
        if found and found[-1].kind == part.kind == "text":
            found[-1] = ValuePart(found[-1].text + part.text)
        elif part.text or part.kind != "text":
            found.append(part)
    return tuple(found)
