"""Is a rendered kickstart one that the installer will understand? pykickstart says so, before anything boots."""

from __future__ import annotations

import shlex
import threading
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from pykickstart.errors import KickstartError, KickstartParseWarning, KickstartVersionError
from pykickstart.parser import KickstartParser
from pykickstart.version import returnClassForVersion

from imagebuild.errors import Problem, RecipeError
from imagebuild.kickstart.render import Rendered
from imagebuild.log import redact

MAX_PROBLEMS = 20
_lock = threading.Lock()
"""pykickstart keeps the version in class attributes, and catching warnings is not safe in threads either."""

_SECTIONS = (
    "%certificate",
    "%onerror",
    "%packages",
    "%post",
    "%pre",
    "%pre-install",
    "%traceback",
    "%addon",
    "%anaconda",
)

Supported = Callable[[Any, str], Iterable[tuple[int, str, str | None]]]
"""Given pykickstart's handler and the kickstart: what an installer does not carry out (line, message, hint)."""


@dataclass(frozen=True)
class ParsedKickstart:
    """A kickstart that pykickstart accepts, as its ``handler``, and what it warned of.

    ``packages`` and ``excluded`` are those of %packages; ``core`` is False with --nocore, ``weak_dependencies``
    with --exclude-weakdeps.
    """

    handler: Any
    packages: tuple[str, ...]
    excluded: tuple[str, ...]
    core: bool
    weak_dependencies: bool
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
    return ParsedKickstart(
        handler,
        packages=tuple(packages.packageList),
        excluded=tuple(packages.excludedList),
        core=not packages.nocore,
        weak_dependencies=not packages.excludeWeakdeps,
        warnings=said,
    )


def _parse_all(rendered: Rendered, version: str) -> tuple[Any, tuple[Problem, ...], list[Problem]]:
    """Parse until nothing new is wrong: where pykickstart stops for good, the line is taken out and it is asked again."""
    lines = rendered.text.splitlines(keepends=True)
    wrong: dict[_Said, None] = {}
    while True:
        attempt = _parse("".join(lines), version)
        wrong |= dict.fromkeys(attempt.wrong)
        stopped = attempt.stopped_at
        if stopped is None or len(wrong) >= MAX_PROBLEMS or not _take_out(lines, stopped):
            break
    found = sorted(wrong, key=lambda said: said.line or 0)[:MAX_PROBLEMS]
    warned = tuple(rendered.problem(said.line, said.message) for said in attempt.warned)
    return attempt.handler, warned, [rendered.problem(said.line, said.message) for said in found]


def _take_out(lines: list[str], number: int) -> bool:
    """Blank a line, and with a section's first line the whole section; False if it is blank already."""
    first = number - 1
    if not 0 <= first < len(lines) or not lines[first].strip():
        return False
    section = _first_word(lines[first]).startswith("%")
    lines[first] = "\n"
    for index in range(first + 1, len(lines) if section else 0):
        word = _first_word(lines[index])
        if word in _SECTIONS:
            break
        lines[index] = "\n"
        if word == "%end":
            break
    return True


def _first_word(line: str) -> str:
    return (line.split() or [""])[0]


class _Said(NamedTuple):
    """What pykickstart said of a line of the kickstart, as far as it told which."""

    line: int | None
    message: str


@dataclass(frozen=True)
class _Attempt:
    """One reading of a kickstart; ``stopped_at`` is the line that pykickstart could not get over."""

    handler: Any
    wrong: tuple[_Said, ...]
    warned: tuple[_Said, ...]
    stopped_at: int | None = None


_BAD_INPUT = (KickstartError, ValueError, IndexError, TypeError, AttributeError, KeyError)
"""pykickstart's own errors, and what its parser falls over."""


class _Parser(KickstartParser):  # type: ignore[misc]  # pykickstart has no types
    """Goes on after a wrong command, and remembers the line it is at: shlex and argparse do not say."""

    def __init__(self, handler: Any) -> None:
        super().__init__(handler, followIncludes=False)
        self.at: int | None = None
        self.wrong: list[_Said] = []
        self.warned: list[_Said] = []

    def warn(self, message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        """Stands in for warnings.showwarning."""
        if issubclass(category, KickstartParseWarning):
            self.warned.append(_Said(self.at, _sentence(str(message))))

    def handleCommand(self, lineno: int, args: list[str]) -> Any:  # noqa: N802 - pykickstart's name
        self.at = lineno
        return super().handleCommand(lineno, args)

    def _readSection(self, lineIter: Any, lineno: int) -> Any:  # noqa: N802, N803 - pykickstart's names
        self.at = lineno
        return super()._readSection(lineIter, lineno)

    def _tryFunc(self, fn: Callable[[], Any]) -> None:  # noqa: N802 - pykickstart's name
        try:
            fn()
        except _BAD_INPUT as error:
            self.wrong.append(_said(error, self.at))


@cache
def _handler_class(version: str) -> Any:
    # Once per version: each call appends to sys.path.
    try:
        return returnClassForVersion(version)
    except KickstartVersionError as error:
        raise ValueError(f"pykickstart knows no version {version!r}") from error


def _parse(text: str, version: str) -> _Attempt:
    handler = _handler_class(version)()
    parser = _Parser(handler)
    stopped: _Said | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = parser.warn
        try:
            parser.readKickstartFromString(text)
        except KickstartError as error:
            stopped = _said(error, parser.at)
        except _BAD_INPUT:
            stopped = _unreadable(text, parser.at)
    return _Attempt(
        handler,
        (*parser.wrong, *([stopped] if stopped else [])),
        tuple(parser.warned),
        stopped.line if stopped else None,
    )


def _said(error: Exception, at: int | None) -> _Said:
    if not isinstance(error, KickstartError):
        return _Said(at, "pykickstart cannot read this line")
    message = _sentence(error.message if isinstance(error.message, str) else str(error))
    # A section without an end is told at the end of the file: its begin is of more use.
    line = at if "%end" in message else error.lineno or at
    return _Said(line, message or "this is not a kickstart")


def _unreadable(text: str, at: int | None) -> _Said:
    """The line that pykickstart stumbled over without saying so: an open quote, or an empty first word."""
    in_section = False
    for number, line in enumerate(text.splitlines(), 1):
        word = _first_word(line)
        if in_section:
            in_section = word != "%end"
            continue
        in_section = word in _SECTIONS
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            return _Said(number, "a quote is opened and not closed")
        if words and not words[0]:
            return _Said(number, "the line begins with an empty word")
    return _Said(at, "pykickstart cannot read this line")


def _sentence(message: str) -> str:
    """pykickstart's message on one line, without secrets."""
    return redact(" ".join(message.split()))
