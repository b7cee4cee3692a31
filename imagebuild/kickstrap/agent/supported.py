"""Which commands, sections and options of a kickstart this installer carries out, and the check for
all others.

The tables are ``storage_commands`` and ``system_commands``. ``check`` runs on the host before
anything boots, and again in the VM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pykickstart.parser import KickstartParser
from pykickstart.sections import Section

from . import inclusion, package_names, storage_commands, syntaxes, system_commands, values
from .treatment import DONE, NOTED, CommandOutcome, Treatment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .machine import TargetMachine

KICKSTART_VERSION = syntaxes.KICKSTRAP
COMMANDS: Mapping[str, Treatment] = {**storage_commands.COMMANDS, **system_commands.COMMANDS}
SECTIONS: Mapping[str, Treatment] = system_commands.SECTIONS
PARSED = frozenset(name for name, treatment in COMMANDS.items() if treatment.itself.kind == DONE)
"""The commands whose results the installation reads."""
_APPENDED = "%ksappend"


class Unsupported(NamedTuple):
    """Something that kickstrap refuses, at a line of the kickstart (from 1); with the severity
    ``warning``, something that it only notes.
    """

    line: int
    message: str
    hint: str | None = None
    severity: Literal["error", "warning"] = "error"


def check(
    handler: Any,
    text: str,
    machine: TargetMachine | None = None,
    scanned: Iterable[tuple[int, Sequence[str]]] | None = None,
    run: values.Run = values.run_now,
) -> list[Unsupported]:
    """Everything in the kickstart ``text`` that is refused or only noted, in the order of its lines.

    ``handler`` is pykickstart's, after parsing ``text`` without errors. With ``machine`` it is also
    checked that everything fits its disks and firmware. If ``text`` includes files, which exist only after
    %pre, it is not checked whether its parts fit together. ``scanned`` are the line numbers and words
    of all commands and section headers, if the caller knows them: the text is not read again. ``run``
    runs each check of the values.
    """
    syntaxes.complete(handler)
    findings = [*by_tables(handler, text, scanned)]
    complete = not any(inclusion.lines(text))
    findings += [Unsupported(*problem) for problem in values.problems(handler, machine, complete=complete, run=run)]
    findings += [Unsupported(*problem) for problem in package_names.problems(handler.packages, text)]
    return sorted(set(findings), key=lambda finding: (finding.line, finding.message))


def by_tables(
    handler: Any, text: str, scanned: Iterable[tuple[int, Sequence[str]]] | None = None
) -> Iterator[Unsupported]:
    """What the tables say about the commands, sections and options of ``text``, whatever their
    values.
    """
    if scanned is None:
        scanner = _Scanner(handler)
        scanner.readKickstartFromString(text)
        scanned = scanner.scanned
    for line, words in scanned:
        parser = getattr(handler.commands.get(words[0]), "op", None)
        # argparse has no public list of options
        yield from _treated(line, words, getattr(parser, "_option_string_actions", None))
    for number, found in enumerate(text.splitlines() if _APPENDED in text else (), 1):
        if found.split()[:1] == [_APPENDED]:
            yield from _treated(number, found.split())
    for problem in inclusion.problems(text, unpacked=bool(handler.liveimg.seen)):
        yield Unsupported(*problem)


def _treated(line: int, words: Sequence[str], known: Mapping[str, object] | None = None) -> Iterator[Unsupported]:
    """What is found in a command, or in the header of a section. ``known`` are the options of the
    syntax that is read.
    """
    name = words[0]
    table = SECTIONS if name.startswith("%") else COMMANDS
    treatment = table.get(name)
    if treatment is None:
        carried = ", ".join(sorted(one for one in table if table[one].itself.kind == DONE))
        yield Unsupported(line, f"{name} is not supported by kickstrap", f"supported: {carried}")
    elif treatment.itself.kind != DONE:
        yield _finding(line, name, treatment.itself)
    else:
        for word in words[1:]:
            option = word.partition("=")[0]
            if option.startswith("-"):
                outcome = treatment.of(_whole(option, treatment, known or {}))
                if outcome.kind != DONE:
                    carried = " ".join(treatment.named(DONE)) or "no options"
                    hint = outcome.why or f"supported for {name}: {carried}"
                    yield _finding(line, f"{name}: {option}", outcome._replace(why=hint))


def _whole(option: str, treatment: Treatment, known: Mapping[str, object]) -> str:
    """The option that an abbreviation stands for, as pykickstart reads it."""
    if option in known or option in treatment.options:
        return option
    meant = {name for name in known if name.startswith(option)}
    return min(meant, key=len) if meant else option


def _finding(line: int, what: str, outcome: CommandOutcome) -> Unsupported:
    if outcome.kind == NOTED:
        return Unsupported(line, f"{what} has no effect on Debian: {outcome.why}", None, "warning")
    return Unsupported(line, f"{what} is not supported by kickstrap", outcome.why or None)


class _Scanner(KickstartParser):  # type: ignore[misc]  # pykickstart has no types
    """Scans the lines with pykickstart's parser, and only records commands and section headers."""

    def __init__(self, handler: Any) -> None:
        self.scanned: list[tuple[int, Sequence[str]]] = []
        super().__init__(handler, followIncludes=False, unknownSectionIsFatal=False)

    def handleCommand(self, lineno: int, args: list[str]) -> None:  # noqa: N802 - pykickstart's name
        self.scanned.append((lineno, args))

    def setupSections(self) -> None:  # noqa: N802 - pykickstart's name
        super().setupSections()
        for name, section in list(self._sections.items()):
            self.registerSection(_ScannedSection(self, name, all_lines=section.allLines))


class _ScannedSection(Section):  # type: ignore[misc]  # pykickstart has no types
    def __init__(self, scanner: _Scanner, name: str, *, all_lines: bool) -> None:
        super().__init__(scanner.handler)
        self.sectionOpen = name
        self.allLines = all_lines
        self._scanned = scanner.scanned

    def handleHeader(self, lineno: int, args: list[str]) -> None:  # noqa: N802 - pykickstart's name
        self._scanned.append((lineno, args))
