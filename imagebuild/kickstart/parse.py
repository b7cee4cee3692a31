"""Parses a kickstart with pykickstart: reports all errors together, and no input takes long."""

from __future__ import annotations

import shlex
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pykickstart.errors import KickstartDeprecationWarning, KickstartError, KickstartParseWarning
from pykickstart.parser import KickstartParser

from imagebuild.kickstart import handler as handlers
from imagebuild.log import redact

MAX_PROBLEMS = 20
MAX_BYTES = 512 * 1024
MAX_LINES = 20_000
MAX_COMMANDS = 1_000
"""Commands: pykickstart compares each one of some kinds with all earlier ones."""
MAX_LINE = 8 * 1024
"""Characters of a line outside scripts: shlex's time is quadratic in the length."""
MAX_GLOBS = 100
"""Excluded packages with a wildcard: pykickstart compares each with all packages."""
_MAX_READ = 5 * MAX_COMMANDS
"""Commands that are parsed, repetitions included, while looking for more errors."""
_lock = threading.Lock()
"""pykickstart stores the version in class attributes, and catching warnings is not thread-safe
either.
"""

SCRIPTS = ("%pre", "%pre-install", "%post", "%onerror", "%traceback")
SECTIONS = ("%addon", "%anaconda", "%certificate", "%packages", *SCRIPTS)


class Said(NamedTuple):
    """A message about a line of the kickstart (from 1); ``line`` is None if it is not known."""

    line: int | None
    message: str
    hint: str | None = None


class Command(NamedTuple):
    """A command and its line: its words as shlex splits them, the name first; ``data`` is
    pykickstart's result.

    ``data`` is None for a command that pykickstart refused. If a command counts only once, it
    belongs to the last one.
    """

    line: int
    words: tuple[str, ...]
    data: Any = None

    @property
    def name(self) -> str:
        return self.words[0]

    def option(self, *names: str) -> str | None:
        """The value of an option, by any of its names: the text after = or the next word; "" if it
        has none.
        """
        for index, word in enumerate(self.words[1:], 1):
            name, equals, value = word.partition("=")
            if name in names:
                following = self.words[index + 1] if index + 1 < len(self.words) else ""
                return value if equals or following.startswith("-") else following
        return None

    def has(self, *names: str) -> bool:
        """Whether one of these options is given."""
        return self.option(*names) is not None


class KickstartSection(NamedTuple):
    """A section: the line and the words of its header, and its lines with their numbers."""

    line: int
    words: tuple[str, ...]
    body: tuple[tuple[int, str], ...]

    @property
    def name(self) -> str:
        return self.words[0]

    def has(self, option: str) -> bool:
        return any(word.partition("=")[0] == option for word in self.words[1:])


@dataclass(frozen=True)
class Kickstart:
    """A kickstart as pykickstart's ``handler``, with its commands and sections in the order of the
    text.

    ``wrong`` is what pykickstart refuses; ``deprecated`` and ``repeated`` are its warnings.
    """

    text: str
    version: str
    handler: Any
    commands: tuple[Command, ...]
    sections: tuple[KickstartSection, ...]
    wrong: tuple[Said, ...]
    deprecated: tuple[Said, ...] = ()
    repeated: tuple[Said, ...] = ()

    def named(self, *names: str) -> Iterator[Command]:
        """The commands with these names."""
        return (command for command in self.commands if command.name in names)

    def includes(self) -> Iterator[tuple[int, str]]:
        """The lines that include another file, and its name. The file is not read."""
        for number, line in enumerate(self.text.splitlines(), 1):
            words = line.split()
            if words[:1] in (["%include"], ["%ksappend"]):
                yield number, " ".join(words)


def parse(text: str, version: str) -> Kickstart:
    """Parse ``text`` with the syntax of ``version``, pykickstart's name for it, such as ``RHEL10``.

    The result contains the errors. Raises ValueError for a version that pykickstart does not know.
    """
    handlers.handler_class(version)
    size = _size(text)
    if size is not None:
        return Kickstart(text, version, None, (), (), (size,))
    with _lock:
        return _parse_all(text, version)


def _size(text: str) -> Said | None:
    if len(text) > MAX_BYTES:
        return Said(None, f"the text is larger than {MAX_BYTES // 1024} KiB: this is not a kickstart")
    if len(text.splitlines()) > MAX_LINES:
        return Said(None, f"the text has more than {MAX_LINES} lines: this is not a kickstart")
    if "\0" in text:
        return Said(text[: text.index("\0")].count("\n") + 1, "the line contains a NUL byte: this is not text")
    commands = _command_lines(text)
    if len(commands) > MAX_COMMANDS:
        return Said(commands[MAX_COMMANDS], f"the text has more than {MAX_COMMANDS} commands: this is not a kickstart")
    globs = [
        number for number, line in enumerate(text.splitlines(), 1) if line.lstrip().startswith("-") and "*" in line
    ]
    if len(globs) > MAX_GLOBS:
        message = f"more than {MAX_GLOBS} wildcards are excluded: this is not a kickstart"
        return Said(globs[MAX_GLOBS], message)
    return None


def _command_lines(text: str) -> list[int]:
    """The lines outside sections that are not comments."""
    found, inside = [], False
    for number, line in enumerate(text.splitlines(), 1):
        word = _first_word(line[:MAX_LINE])
        if inside or word in SECTIONS:
            inside = word != "%end"
        elif word and not word.startswith("#"):
            found.append(number)
    return found


def _parse_all(text: str, version: str) -> Kickstart:
    """Parse until there are no new errors: a line at which pykickstart gives up is removed, and the
    rest parsed again.
    """
    lines = text.splitlines(keepends=True)
    wrong: dict[Said, None] = dict.fromkeys(_without_long_lines(lines))
    commands, read = len(_command_lines(text)), 0
    while True:
        attempt = _parse("".join(lines), version)
        read += commands
        wrong |= dict.fromkeys(attempt.wrong)
        stopped = attempt.stopped_at
        if stopped is None or len(wrong) >= MAX_PROBLEMS or read >= _MAX_READ or not _take_out(lines, stopped):
            break
    found = sorted(wrong, key=lambda said: said.line or 0)[:MAX_PROBLEMS]
    parser = attempt.parser
    return Kickstart(
        text,
        version,
        attempt.handler,
        tuple(parser.commands),
        tuple(_sections(text)),
        tuple(found),
        tuple(dict.fromkeys(parser.deprecated)),
        tuple(dict.fromkeys(parser.repeated)),
    )


def _without_long_lines(lines: list[str]) -> Iterator[Said]:
    """Blank lines that would take too long, except in scripts, which are not split into words."""
    in_script = False
    for index, line in enumerate(lines):
        word = _first_word(line[:MAX_LINE])
        in_script = word in SCRIPTS or (in_script and word != "%end" and word not in SECTIONS)
        if len(line) > MAX_LINE and (not in_script or word.startswith("%")):
            lines[index] = "\n"
            yield Said(index + 1, f"the line has more than {MAX_LINE} characters")


def _take_out(lines: list[str], number: int) -> bool:
    """Blank a line, or the whole section if it is a section's first line; False if it is already
    blank.
    """
    first = number - 1
    if not 0 <= first < len(lines) or not lines[first].strip():
        return False
    section = _first_word(lines[first]).startswith("%")
    lines[first] = "\n"
    for index in range(first + 1, len(lines) if section else 0):
        word = _first_word(lines[index])
        if word in SECTIONS:
            break
        lines[index] = "\n"
        if word == "%end":
            break
    return True


def _first_word(line: str) -> str:
    return (line.split(maxsplit=1) or [""])[0]


def _sections(text: str) -> Iterator[KickstartSection]:
    """The sections of a text, as pykickstart divides it; a section without an end extends to the
    next one.
    """
    header: tuple[int, tuple[str, ...]] | None = None
    body: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        word = _first_word(line[:MAX_LINE])
        if word in SECTIONS or (word == "%end" and header):
            if header:
                yield KickstartSection(*header, tuple(body))
            header, body = (None if word == "%end" else (number, _words(line))), []
        elif header:
            body.append((number, line))
    if header:
        yield KickstartSection(*header, tuple(body))


def _words(line: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(line[:MAX_LINE], comments=True)) or (_first_word(line),)
    except ValueError:
        return tuple(line[:MAX_LINE].split())


@dataclass(frozen=True)
class _Attempt:
    """An attempt at parsing a kickstart; ``stopped_at`` is the line at which pykickstart gave up."""

    handler: Any
    parser: _Parser
    wrong: tuple[Said, ...]
    stopped_at: int | None = None


_BAD_INPUT = (
    KickstartError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""pykickstart's own errors, and those that bad input causes in its parser."""


class _Parser(KickstartParser):  # type: ignore[misc]  # pykickstart has no types
    """Continues after a wrong command, and records its current line, which shlex and argparse do
    not report.
    """

    def __init__(self, handler: Any) -> None:
        super().__init__(handler, followIncludes=False)
        self.at: int | None = None
        self.commands: list[Command] = []
        self.wrong: list[Said] = []
        self.deprecated: list[Said] = []
        self.repeated: list[Said] = []

    def warn(self, message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        """Replaces warnings.showwarning."""
        if not issubclass(category, KickstartParseWarning):
            return
        old = issubclass(category, KickstartDeprecationWarning) or "deprecated" in str(message)
        (self.deprecated if old else self.repeated).append(Said(self.at, _sentence(str(message))))

    def setupSections(self) -> None:  # noqa: N802 - pykickstart's name
        super().setupSections()
        for section in self._sections.values():
            if hasattr(section, "_getParser"):
                section._getParser = _kept(section)  # noqa: SLF001

    def handleCommand(self, lineno: int, args: list[str]) -> Any:  # noqa: N802 - pykickstart's name
        self.at = lineno
        data = None
        try:
            data = super().handleCommand(lineno, args)
        finally:
            self.commands.append(Command(lineno, tuple(args), data))
        return data

    def _readSection(self, lineIter: Any, lineno: int) -> Any:  # noqa: N802, N803 - pykickstart's names
        self.at = lineno
        return super()._readSection(lineIter, lineno)

    def _tryFunc(self, fn: Callable[[], Any]) -> None:  # noqa: N802 - pykickstart's name
        try:
            fn()
        except _BAD_INPUT as error:
            self.wrong.append(_said(error, self.at))


_option_parsers: dict[tuple[type[Any], int], Any] = {}
"""The option parsers of sections, by syntax version: creating one takes longer than the rest of a
section.
"""


def _kept(section: Any) -> Callable[[], Any]:
    make = section._getParser  # noqa: SLF001 - pykickstart's place for this

    def get() -> Any:
        key = type(section), section.version
        if key not in _option_parsers:
            _option_parsers[key] = make()
        return _option_parsers[key]

    return get


def _parse(text: str, version: str) -> _Attempt:
    with handlers.reading(version) as handler, warnings.catch_warnings():
        parser = _Parser(handler)
        stopped: Said | None = None
        warnings.simplefilter("always")
        warnings.showwarning = parser.warn
        try:
            parser.readKickstartFromString(text)
        except KickstartError as error:
            stopped = _said(error, parser.at)
        except _BAD_INPUT:
            stopped = _unreadable(text, parser.at)
    wrong: Sequence[Said] = (*parser.wrong, *([stopped] if stopped else []))
    return _Attempt(handler, parser, tuple(wrong), stopped.line if stopped else None)


def _said(error: Exception, at: int | None) -> Said:
    if not isinstance(error, KickstartError):
        return Said(at, "pykickstart cannot read this line")
    message = _sentence(error.message if isinstance(error.message, str) else str(error))
    # pykickstart reports a section without %end at the end of the file; its first line is more useful.
    line = at if "%end" in message else error.lineno or at
    return Said(line, message or "this is not a kickstart")


def _unreadable(text: str, at: int | None) -> Said:
    """The line on which pykickstart failed without naming it: an open quote, or an empty first
    word.
    """
    in_section = False
    for number, line in enumerate(text.splitlines(), 1):
        word = _first_word(line)
        if in_section:
            in_section = word != "%end"
            continue
        in_section = word in SECTIONS
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            return Said(number, "a quote is not closed")
        if words and not words[0]:
            return Said(number, "the line begins with an empty word")
    return Said(at, "pykickstart cannot read this line")


def _sentence(message: str) -> str:
    """pykickstart's message on one line, without secrets."""
    return redact(" ".join(message.split()))
