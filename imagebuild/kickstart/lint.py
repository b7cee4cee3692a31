"""Is a rendered kickstart one that the installer will understand? pykickstart says so, before anything boots."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from pykickstart.errors import KickstartError, KickstartParseWarning, KickstartVersionError
from pykickstart.parser import KickstartParser
from pykickstart.version import returnClassForVersion

from imagebuild.errors import Problem, RecipeError
from imagebuild.kickstart.render import Rendered
from imagebuild.log import redact

MAX_PROBLEMS = 20
_lock = threading.Lock()
"""pykickstart keeps the version in class attributes, and catching warnings is not safe in threads either."""

Supported = Callable[[Any, str], Iterable[tuple[int, str, str | None]]]
"""Given pykickstart's handler and the kickstart: what an installer does not carry out (line, message, hint)."""


@dataclass(frozen=True)
class ParsedKickstart:
    """A kickstart that pykickstart accepts, and what it said along the way."""

    handler: Any
    packages: tuple[str, ...]
    excluded: tuple[str, ...]
    warnings: tuple[Problem, ...]


def check(rendered: Rendered, *, version: str, supported: Supported | None = None) -> ParsedKickstart:
    """Parse a rendered kickstart by the syntax of ``version`` (pykickstart's name of it, such as ``RHEL10``).

    ``supported`` is asked too: an installer's own list of what it carries out. Raises RecipeError with what is
    wrong, each problem at the line of the template.
    """
    with _lock:
        handler, said, problems = _parse_all(rendered, version)
        if not problems and supported is not None:
            problems = [
                rendered.problem(line, message, hint) for line, message, hint in supported(handler, rendered.text)
            ]
    if problems:
        raise RecipeError(problems)
    packages = handler.packages
    return ParsedKickstart(handler, tuple(packages.packageList), tuple(packages.excludedList), said)


def _parse_all(rendered: Rendered, version: str) -> tuple[Any, tuple[Problem, ...], list[Problem]]:
    """Parse until nothing is wrong: pykickstart stops at an error, so its line is taken out and it is asked again."""
    lines = rendered.text.splitlines(keepends=True)
    problems: list[Problem] = []
    while True:
        try:
            handler, said = _parse("".join(lines), version)
        except _Wrong as wrong:
            line = wrong.line
            problems.append(rendered.problem(line, wrong.message))
            if (
                line is None
                or not 0 < line <= len(lines)
                or len(problems) >= MAX_PROBLEMS
                or not _take_out(lines, line)
            ):
                return None, (), problems
        else:
            return handler, tuple(rendered.problem(line, message) for line, message in said), problems


def _take_out(lines: list[str], number: int) -> bool:
    """Blank a line, and with a section's first line the whole section; False if it is blank already."""
    first = last = number - 1
    if not lines[first].strip():
        return False
    if lines[first].lstrip().startswith("%"):
        ends = (i for i in range(first, len(lines)) if lines[i].split()[:1] == ["%end"])
        last = next(ends, len(lines) - 1)
    for index in range(first, last + 1):
        lines[index] = "\n"
    return True


class _Wrong(Exception):
    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


class _Parser(KickstartParser):  # type: ignore[misc]  # pykickstart has no types
    """Remembers which line it is at: shlex and argparse do not say."""

    def __init__(self, handler: Any) -> None:
        super().__init__(handler, followIncludes=False)
        self.at: int | None = None

    def handleCommand(self, lineno: int, args: list[str]) -> Any:  # noqa: N802 - pykickstart's name
        self.at = lineno
        return super().handleCommand(lineno, args)


@cache
def _handler_class(version: str) -> Any:
    # Once per version: each call appends to sys.path.
    return returnClassForVersion(version)


def _parse(text: str, version: str) -> tuple[Any, list[tuple[int | None, str]]]:
    try:
        handler = _handler_class(version)()
    except KickstartVersionError as error:
        raise ValueError(f"pykickstart knows no version {version!r}") from error
    parser = _Parser(handler)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            parser.readKickstartFromString(text)
        except KickstartError as error:
            message = error.message if isinstance(error.message, str) else str(error)
            raise _Wrong(_sentence(message or "this is not a kickstart"), error.lineno or parser.at) from error
        except (ValueError, IndexError, TypeError, AttributeError, KeyError) as error:
            line, message = _unreadable(text, parser.at)
            raise _Wrong(message, line) from error
    said = [str(w.message) for w in caught if issubclass(w.category, KickstartParseWarning)]
    return handler, [(_line_in(message), _sentence(message)) for message in said]


def _unreadable(text: str, at: int | None) -> tuple[int | None, str]:
    """The line that pykickstart stumbled over without saying so: an open quote, or an empty first word."""
    import shlex

    in_section = False
    for number, line in enumerate(text.splitlines(), 1):
        first = line.split()[:1]
        if in_section:
            in_section = first != ["%end"]
            continue
        in_section = bool(first) and first[0].startswith("%") and first[0] not in ("%include", "%ksappend")
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            return number, "a quote is opened and not closed"
        if words and not words[0]:
            return number, "the line begins with an empty word"
    return at, "pykickstart cannot read this line"


def _line_in(message: str) -> int | None:
    match = re.search(r"\bline ([0-9]+)", message)
    return int(match[1]) if match else None


def _sentence(message: str) -> str:
    """pykickstart's message on one line, without secrets."""
    return redact(" ".join(message.split()))
