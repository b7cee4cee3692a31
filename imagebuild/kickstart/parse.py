"""Parses a kickstart with pykickstart: reports all errors together, and no input takes long."""

from __future__ import annotations

import shlex
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pykickstart.base import KickstartCommand
from pykickstart.errors import KickstartDeprecationWarning, KickstartError, KickstartParseWarning
from pykickstart.parser import KickstartParser

from imagebuild.kickstart import divide, neighbours, quick_split, repair, wording
from imagebuild.kickstart import handler as handlers
from imagebuild.kickstart.kept_lines import KeptPackages, TextMemory
from imagebuild.kickstart.parsed import Command, GivenOptions, Kickstart, KickstartSection, Repetition, Said

quick_split.install()
MAX_PROBLEMS = 20
_MAX_READ = 5 * divide.MAX_COMMANDS
"""Commands that are parsed, repetitions included, while looking for more errors."""
_lock = threading.Lock()
"""pykickstart stores the version in class attributes, and catching warnings is not thread-safe
either.
"""


def parse(text: str, version: str) -> Kickstart:
    """Parse ``text`` with the syntax of ``version``, pykickstart's name for it, such as ``RHEL10``.

    The result contains the errors. Raises ValueError for a version that pykickstart does not know.
    """
    handlers.handler_class(version)
    with _lock:
        kickstart = neighbours.adapted(text, version, _parse_line)
    if kickstart is not None:
        return kickstart
    size = divide.size_problem(text)
    if size is not None:
        return Kickstart(text, version, None, (), (), (size,))
    with _lock:
        kickstart = _parse_all(text, version)
        neighbours.remember(kickstart)
    return kickstart


def _parse_all(text: str, version: str) -> Kickstart:
    """Parse until there are no new errors. Where a mistake would cause others, it is reported once,
    and the text is parsed again as it was meant.
    """
    lines = text.splitlines(keepends=True)
    long = list(divide.blank_long_lines(lines))
    attempt = _parse("".join(lines), version)
    if not attempt.wrong:
        return _kickstart(text, version, attempt, attempt.sections(text), long)
    repaired = repair.repaired(lines, attempt.handler, {said.line for said in attempt.wrong})
    if repaired:
        attempt = _parse("".join(lines), version)
    meant = "".join(lines) if repaired else text
    wrong, attempt = _all_wrong(lines, version, attempt)
    found = repair.without_template_lines(text, [*long, *repaired, *wrong])
    return _kickstart(text, version, attempt, attempt.sections(meant), found)


def _all_wrong(lines: list[str], version: str, attempt: _Attempt) -> tuple[list[Said], _Attempt]:
    """All errors, and the last attempt: a line at which pykickstart gives up is removed, and the rest
    parsed again.
    """
    wrong = dict.fromkeys(attempt.wrong)
    commands = len(divide.command_lines("".join(lines)))
    read = commands
    while attempt.stopped_at is not None and len(wrong) < MAX_PROBLEMS and read < _MAX_READ:
        if not divide.take_out(lines, attempt.stopped_at):
            break
        attempt = _parse("".join(lines), version)
        read += commands
        wrong |= dict.fromkeys(attempt.wrong)
    return list(wrong), attempt


def _kickstart(
    text: str, version: str, attempt: _Attempt, sections: list[KickstartSection], wrong: Sequence[Said]
) -> Kickstart:
    parser = attempt.parser
    found = sorted(dict.fromkeys(wrong), key=lambda said: said.line or 0)
    if len(found) > MAX_PROBLEMS:
        hidden = len(found) - MAX_PROBLEMS
        message = f"{hidden} or more further syntax errors from here on are not shown"
        found[MAX_PROBLEMS:] = [Said(found[MAX_PROBLEMS].line, message, "correct the first ones, and lint again")]
    return Kickstart(
        text,
        version,
        attempt.handler,
        tuple(parser.commands),
        tuple(sections),
        tuple(found),
        tuple(dict.fromkeys(parser.deprecated)),
        tuple(dict.fromkeys(parser.repetitions)),
        tuple(parser.header_words),
    )


@dataclass(frozen=True)
class _Attempt:
    """An attempt at parsing a kickstart; ``stopped_at`` is the line at which pykickstart gave up."""

    handler: Any
    parser: _Parser
    wrong: tuple[Said, ...]
    stopped_at: int | None = None

    def sections(self, text: str) -> list[KickstartSection]:
        """The sections of the text, with the options of their headers."""
        headers = self.parser.headers
        return [one._replace(given=headers.get(one.line, one.given)) for one in divide.sections(text)]


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

    def __init__(self, handler: Any, version: str, text: str) -> None:
        super().__init__(handler, followIncludes=False)
        self._whole = handlers.handler_class(version)
        self._line: str
        self._memory = TextMemory(self._whole, handler, text)
        self._warned: set[int] = set()
        self.at: int | None = None
        self.doing = ""
        self.syntax = version
        self.commands: list[Command] = []
        self.headers: dict[int, GivenOptions] = {}
        self.header_words: list[tuple[int, tuple[str, ...]]] = []
        self.wrong: list[Said] = []
        self.deprecated: list[Said] = []
        self.repetitions: list[Repetition] = []

    def warn(self, message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        """Replaces warnings.showwarning."""
        handlers.note_warning()
        self._warned.add(self.at or 0)
        if not issubclass(category, KickstartParseWarning):
            return
        text = str(message)
        if issubclass(category, KickstartDeprecationWarning) or "deprecated" in text:
            self.deprecated.append(Said(self.at, wording.of_deprecation(text)))
        else:
            self.repetitions.append(Repetition(Said(self.at, wording.sentence(text)), self.doing))

    def setupSections(self) -> None:  # noqa: N802 - pykickstart's name
        super().setupSections()
        for section in self._sections.values():
            if hasattr(section, "_getParser"):
                section._getParser = _kept(section)  # noqa: SLF001
            section.handleHeader = self._noting_its_line(section, section.handleHeader)

    def _noting_its_line(self, section: Any, handle: Callable[[int, list[str]], None]) -> Callable[..., None]:
        """``handle``, which parses the header of a section, with a note of its line and options."""

        def header(lineno: int, args: list[str]) -> None:
            self.at, self.doing = lineno, args[0]
            self.header_words.append((lineno, tuple(args)))
            op = section._getParser() if hasattr(section, "_getParser") else None  # noqa: SLF001
            handlers.forget(op) if op else None
            try:
                handle(lineno, args)
            finally:
                if op:
                    self.headers[lineno] = handlers.recorded(op)

        return header

    def handleCommand(self, lineno: int, args: list[str]) -> Any:  # noqa: N802 - pykickstart's name
        self.at, self.doing = lineno, args[0]
        kept = self._memory.take(lineno, args[0])
        if kept is not None:
            self.commands.append(kept)
            return kept.data
        for line, command in self._memory.give_back(args[0]):
            with self.handler.given_back(command):
                self._handle_again(line)
        return self._handle(lineno, args)

    def _handle_again(self, line: int) -> None:
        """Parse a line whose result was kept, because this text may change it."""
        at = next(at for at, one in enumerate(self.commands) if one.line == line)
        now, self._line = self._line, self._memory.text(line)
        self._handle(line, list(self.commands[at].words))
        self.commands[at] = self.commands.pop()
        self._line = now

    def _handle(self, lineno: int, args: list[str]) -> Any:
        known = self.handler.commands.get(args[0])
        if known is not None and hasattr(known, "op"):
            handlers.forget(known.op)
        data = None
        try:
            data = super().handleCommand(lineno, args)
        finally:
            op = getattr(self.handler.commands.get(args[0]), "op", None)
            self.commands.append(Command(lineno, tuple(args), data, handlers.recorded(op)))
        return data

    def _readSection(self, lineIter: Any, lineno: int) -> Any:  # noqa: N802, N803 - pykickstart's names
        self.at = lineno
        lines = self._memory.package_lines(lineno) if self._state == "%packages" else None
        if lines is None:
            return super()._readSection(lineIter, lineno)
        kept = KeptPackages(self._whole, self.handler.packages, lines)
        if kept.take():
            for _ in (*lines, "%end"):
                next(lineIter)
            self._finalize(self._sections[self._state])
            return lineno + len(lines) + 1
        before = handlers.warned()
        end = super()._readSection(lineIter, lineno)
        if handlers.warned() == before:
            kept.keep()
        return end

    def detach(self) -> None:
        """Refer to the commands of the detached handler: the originals are reused for the next text."""
        for at, one in enumerate(self.commands):
            if isinstance(one.data, KickstartCommand):
                self.commands[at] = one._replace(data=self.handler.commands[one.name])

    def keep(self) -> None:
        """Keep the results of the lines of a text that has no errors, after the handler was detached."""
        self._memory.keep(self.commands, frozenset(self._warned))

    def _tryFunc(self, fn: Callable[[], Any]) -> None:  # noqa: N802 - pykickstart's name
        try:
            fn()
        except _BAD_INPUT as error:
            self.wrong.append(_said(error, self))


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
            handlers.record(_option_parsers[key])
        return _option_parsers[key]

    return get


class _LineParser(_Parser):
    """Parses a text without sections."""

    def setupSections(self) -> None:  # noqa: N802 - pykickstart's name
        """Register none: that takes longer than to parse a line."""


def _parse_line(number: int, line: str, version: str) -> neighbours.ParsedLine | None:
    """See ``neighbours.ParseLine``."""
    attempt = _parse("\n" * (number - 1) + line, version, _LineParser)
    parser = attempt.parser
    if attempt.wrong or parser.deprecated or parser.repetitions or len(parser.commands) != 1:
        return None
    return attempt.handler, parser.commands[0]


def _parse(text: str, version: str, its_parser: type[_Parser] = _Parser) -> _Attempt:
    with handlers.reading(version) as handler, warnings.catch_warnings():
        parser = its_parser(handler, version, text)
        stopped: Said | None = None
        warnings.simplefilter("always")
        warnings.showwarning = parser.warn
        try:
            parser.readKickstartFromString(text)
        except KickstartError as error:
            stopped = _said(error, parser)
        except _BAD_INPUT:
            stopped = _unreadable(text, parser.at)
    wrong: Sequence[Said] = (*parser.wrong, *([stopped] if stopped else []))
    parser.detach()
    if not wrong:
        parser.keep()
    return _Attempt(handler, parser, tuple(wrong), stopped.line if stopped else None)


def _said(error: Exception, parser: _Parser) -> Said:
    if not isinstance(error, KickstartError):
        return Said(parser.at, wording.of_defect(parser.doing))
    message = wording.sentence(error.message if isinstance(error.message, str) else str(error))
    # pykickstart reports a section without %end at the end of the file; its first line is more useful.
    line = parser.at if "%end" in message else error.lineno or parser.at
    return Said(line, *wording.of_error(message, parser.doing, parser.syntax))


def _unreadable(text: str, at: int | None) -> Said:
    """The line on which pykickstart failed without naming it: an open quote, or an empty first
    word.
    """
    in_section = False
    for number, line in enumerate(text.splitlines(), 1):
        word = divide.first_word(line)
        if in_section:
            in_section = word != "%end"
            continue
        in_section = word in divide.SECTIONS
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            return Said(number, "a quote is not closed")
        if words and not words[0]:
            return Said(number, "the line begins with an empty word")
    return Said(at, "pykickstart cannot read this line")
