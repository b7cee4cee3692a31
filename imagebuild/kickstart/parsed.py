"""A parsed kickstart as plain values: its commands, its sections, and what pykickstart says about
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple


class Said(NamedTuple):
    """A message about a line of the kickstart (from 1); ``line`` is None if it is not known."""

    line: int | None
    message: str
    hint: str | None = None


class GivenOptions(NamedTuple):
    """The options of one command as pykickstart understood them, abbreviations included.

    ``values`` maps the names of pykickstart's attributes to the values that the line sets, apart
    from defaults. ``known`` maps every option that the syntax has, such as ``--size``, to argparse's
    action for it.
    """

    values: Mapping[str, Any]
    known: Mapping[str, Any]


class Command(NamedTuple):
    """A command and its line: its words as shlex splits them, the name first; ``data`` is
    pykickstart's result, ``given`` its options.

    ``data`` is None for a command that pykickstart refused. If a command counts only once, it
    belongs to the last one.
    """

    line: int
    words: tuple[str, ...]
    data: Any = None
    given: GivenOptions = GivenOptions({}, {})

    @property
    def name(self) -> str:
        return self.words[0]

    def option(self, *names: str) -> Any:
        """The value of an option, by any of its names, as pykickstart converted it; "" for an option
        without a value; None if it is not given.
        """
        if not self.given.known:  # a removed command, or one whose options pykickstart does not parse
            return self._word(names)
        for name in names:
            action = self.given.known.get(name)
            if action is None or action.dest not in self.given.values:
                continue
            value = self.given.values[action.dest]
            if action.nargs != 0:
                return value
            if action.const is None or value == action.const:
                return ""
        return None

    def _word(self, names: tuple[str, ...]) -> str | None:
        for index, word in enumerate(self.words[1:], 1):
            name, equals, value = word.partition("=")
            if name in names:
                following = self.words[index + 1] if index + 1 < len(self.words) else ""
                return value if equals or following.startswith("-") else following
        return None

    def has(self, *names: str) -> bool:
        """Whether one of these options is given."""
        return self.option(*names) is not None

    def knows(self, name: str) -> bool:
        """Whether the command has this option in the syntax that was read."""
        return name in self.given.known


class KickstartSection(NamedTuple):
    """A section: the line and the words of its header, and its lines with their numbers."""

    line: int
    words: tuple[str, ...]
    body: tuple[tuple[int, str], ...]
    given: GivenOptions = GivenOptions({}, {})

    @property
    def name(self) -> str:
        return self.words[0]

    def has(self, option: str) -> bool:
        """Whether the header has this option, or an abbreviation of it."""
        return Command(self.line, self.words, None, self.given).has(option)


class Repetition(NamedTuple):
    """pykickstart's warning that a command defines something again."""

    said: Said
    command: str


@dataclass(frozen=True)
class Kickstart:
    """A kickstart as pykickstart's ``handler``, with its commands and sections in the order of the
    text.

    ``wrong`` is what pykickstart refuses; ``deprecated`` and ``repeated`` are its warnings.
    ``headers`` are the line and the words of each section header that pykickstart has read.
    """

    text: str
    version: str
    handler: Any
    commands: tuple[Command, ...]
    sections: tuple[KickstartSection, ...]
    wrong: tuple[Said, ...]
    deprecated: tuple[Said, ...] = ()
    repetitions: tuple[Repetition, ...] = ()
    headers: tuple[tuple[int, tuple[str, ...]], ...] = ()

    @property
    def scanned(self) -> list[tuple[int, Sequence[str]]]:
        """The lines and words of all commands and section headers."""
        return [*((one.line, one.words) for one in self.commands), *self.headers]

    @property
    def repeated(self) -> tuple[Said, ...]:
        """The warnings about what is defined twice."""
        return tuple(one.said for one in self.repetitions)

    @property
    def is_fragment(self) -> bool:
        """Whether it has no commands: it is meant to be included by another kickstart."""
        return not self.commands and not self.wrong

    @cached_property
    def _by_name(self) -> dict[str, list[Command]]:
        found: dict[str, list[Command]] = {}
        for command in self.commands:
            found.setdefault(command.name, []).append(command)
        return found

    def named(self, *names: str) -> Iterator[Command]:
        """The commands with these names."""
        if len(names) == 1:
            return iter(self._by_name.get(names[0], ()))
        if self._by_name.keys().isdisjoint(names):
            return iter(())
        return (command for command in self.commands if command.name in names)

    def includes(self) -> Iterator[tuple[int, str]]:
        """The lines that include another file, and its name. The file is not read."""
        if "%include" not in self.text and "%ksappend" not in self.text:
            return
        for number, line in enumerate(self.text.splitlines(), 1):
            words = line.split()
            if words[:1] in (["%include"], ["%ksappend"]):
                yield number, " ".join(words)
