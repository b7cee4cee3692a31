"""Lines that pykickstart has parsed, and their results, for the next text that has the same lines.

The two kickstarts of a recipe differ in one line, and those of a matrix in a few. The result of a line
depends on the syntax, on the line and its number, and on what came before. It is kept if nothing came
before that matters: the command is the only one of its kind in its text and looks at no other command,
and pykickstart has neither refused it nor warned about it. Nobody may change a result that is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from pykickstart.base import KickstartCommand

from imagebuild.kickstart.parsed import Command

MOST = 2048
"""Results that are kept; before one more, all are dropped."""
_PACKAGES = ("environment", "groupList", "excludedGroupList", "packageList", "excludedList")
"""What the lines of a %packages section change."""


class KeptLine(NamedTuple):
    """A command after it was parsed, and how it was given."""

    command: Any
    said: Command


class _Kept(dict[Any, Any]):
    def keep(self, key: Any, result: Any) -> None:
        if len(self) >= MOST:
            self.clear()
        self[key] = result


_lines = _Kept()
"""KeptLine by the class of the syntax, the number of the line, and its text."""
_packages = _Kept()
"""The values of _PACKAGES by the class of the syntax and the lines of the section."""


class TextMemory:
    """The kept results of one text's lines. ``whole`` is pykickstart's class for its syntax."""

    def __init__(self, whole: Any, handler: Any, text: str) -> None:
        self._whole = whole
        self._handler = handler
        self._texts = text.splitlines(keepends=True)
        self._taken: dict[type[Any], int] = {}

    def take(self, line: int, name: str) -> Command | None:
        """The command that line ``line`` gives, if its result was kept; the handler has it then."""
        kept: KeptLine | None = _lines.get((self._whole, line, self.text(line)))
        if kept is None or name in self._handler.commands or self._conflicts(kept.command):
            return None
        self._handler.adopt(kept.command)
        self._taken[type(kept.command)] = line
        return kept.said

    def text(self, line: int) -> str:
        """Line ``line`` (from 1), with its end."""
        return self._texts[line - 1]

    def _conflicts(self, command: Any) -> bool:
        known = self._handler.commands
        return any(name in known and known[name].seen for name in command.conflictingCommands)

    def give_back(self, name: str) -> Iterator[tuple[int, type[Any]]]:
        """The lines, with the classes of their commands, whose kept results ``name`` may change: it is given
        again, or it looks at other commands. They are no longer taken.
        """
        command = self._whole.commandMap.get(name)
        if command is None:
            return
        concerned = [command] if stands_alone(command) else list(self._taken)
        for one in concerned:
            if one in self._taken:
                yield self._taken.pop(one), one

    def keep(self, commands: Sequence[Command], warned: frozenset[int]) -> None:
        """Keep what can be kept of a text without errors; the handler is detached."""
        of_lines: dict[type[Any], list[Command]] = {}
        for one in commands:
            of_lines.setdefault(type(self._handler.commands[one.name]), []).append(one)
        for command, given in of_lines.items():
            if len(given) == 1 and stands_alone(command) and command not in self._taken and given[0].line not in warned:
                said, made = given[0], self._handler.commands[given[0].name]
                made.handler = None
                _lines.keep((self._whole, said.line, self._texts[said.line - 1]), KeptLine(made, said))

    def package_lines(self, line: int) -> tuple[str, ...] | None:
        """The lines of a section after its header ``line``; None if it does not end with a plain %end."""
        for at in range(line, len(self._texts)):
            if "%" in self._texts[at]:
                return tuple(self._texts[line:at]) if self._texts[at].strip() == "%end" else None
        return None


class KeptPackages:
    """What the lines of a %packages section make of pykickstart's ``packages``, into which nothing has been
    read yet.
    """

    def __init__(self, whole: Any, packages: Any, lines: tuple[str, ...]) -> None:
        self._key = whole, lines
        self._packages = packages
        self.is_first = not any(getattr(packages, name) for name in _PACKAGES)

    def take(self) -> bool:
        """Whether the result was kept; ``packages`` has it then."""
        kept = _packages.get(self._key) if self.is_first else None
        for name, value in zip(_PACKAGES, kept or (), strict=False):
            setattr(self._packages, name, list(value) if isinstance(value, list) else value)
        return kept is not None

    def keep(self) -> None:
        """Keep the result, which pykickstart has just made without a warning."""
        if self.is_first:
            values = (getattr(self._packages, name) for name in _PACKAGES)
            _packages.keep(self._key, tuple(list(one) if isinstance(one, list) else one for one in values))


def stands_alone(command: Any) -> bool:
    """Whether a class of commands looks at nothing but its own commands. ``dataClass`` may: the classes of
    data are those of the syntax.
    """
    return _stands_alone(command)


@cache
def _stands_alone(command: Any) -> bool:
    theirs = [one for one in command.__mro__ if one not in KickstartCommand.__mro__]
    functions = [(name, function) for one in theirs for name, function in vars(one).items() if name != "dataClass"]
    return not any("handler" in _names(code) for _, function in functions for code in _codes(function))


def _codes(function: Any) -> Iterator[CodeType]:
    parts: tuple[Any, ...] = (getattr(function, "__func__", function),)
    if isinstance(function, property):
        parts = (function.fget, function.fset, function.fdel)
    return (part.__code__ for part in parts if isinstance(part, FunctionType))


def _names(code: CodeType) -> Iterator[str]:
    """The names and texts in a function, and in those inside it."""
    yield from code.co_names
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _names(value)
        elif isinstance(value, str):
            yield value


def forget() -> None:
    """Forget all results."""
    _lines.clear()
    _packages.clear()
