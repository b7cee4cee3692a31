"""Kickstarts that differ in one line from another that has no errors: only that line is parsed.

The images of a project often differ only in their host name. The result of a line depends on the
line, its number and its syntax, and otherwise on nothing if all commands of the text stand alone and
no other line gives the same command (see ``kept_lines``). What the other lines gave is shared: nobody
may change it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from imagebuild.kickstart import divide
from imagebuild.kickstart.handler import Handler
from imagebuild.kickstart.kept_lines import stands_alone
from imagebuild.kickstart.parsed import Command, Kickstart

MOST = 32
"""Kickstarts that a text is compared with, for each version of the syntax."""
ParsedLine = tuple[Handler, Command]
"""A line: a detached handler that has read nothing else, and the line's command."""
ParseLine = Callable[[int, str, str], ParsedLine | None]
"""Parses a line with its number and the version; None if that gives no command, or an error or a warning."""
_known: dict[str, deque[tuple[list[str], Kickstart]]] = {}
"""The lines of kickstarts, and the kickstarts, by the version of their syntax; the newest first."""


def remember(kickstart: Kickstart) -> None:
    """Keep a kickstart for those that differ from it in one line, if that is possible."""
    if kickstart.wrong or kickstart.deprecated or kickstart.repetitions or kickstart.handler is None:
        return
    commands = kickstart.handler.commands
    if all(stands_alone(type(commands[one.name])) for one in kickstart.commands):
        known = _known.setdefault(kickstart.version, deque(maxlen=MOST))
        known.appendleft((kickstart.text.splitlines(keepends=True), kickstart))


def adapted(text: str, version: str, parse_line: ParseLine) -> Kickstart | None:
    """``text`` parsed with the help of a kickstart that differs from it in one line; None if there is none."""
    if len(text) > divide.MAX_BYTES or version not in _known:
        return None
    lines = text.splitlines(keepends=True)
    for others, kickstart in _known[version]:
        at = _only_difference(lines, others)
        if at is not None:
            return _with_line(kickstart, text, at + 1, lines[at], parse_line)
    return None


def _only_difference(lines: Sequence[str], others: Sequence[str]) -> int | None:
    """The index of the only line that differs; None if there is another number of them."""
    if len(lines) != len(others):
        return None
    at = next((at for at, (line, other) in enumerate(zip(lines, others, strict=True)) if line != other), None)
    return at if at is not None and lines[at + 1 :] == others[at + 1 :] else None


def _with_line(kickstart: Kickstart, text: str, number: int, line: str, parse_line: ParseLine) -> Kickstart | None:
    """``kickstart`` with another line ``number``; None if its result may depend on others."""
    # what size_problem and blank_long_lines look for, and what may belong to a section
    if len(line) > divide.MAX_LINE or any(one in line for one in "%*\0"):
        return None
    at = next((at for at, one in enumerate(kickstart.commands) if one.line == number), None)
    if at is None:
        return None
    before, given = kickstart.handler.commands, kickstart.commands[at]
    if sum(before[one.name] is before[given.name] for one in kickstart.commands) != 1:
        return None
    parsed = parse_line(number, line, kickstart.version)
    if parsed is None or parsed[1].name != given.name:
        return None
    handler, command = parsed
    commands = (*kickstart.commands[:at], command, *kickstart.commands[at + 1 :])
    made = kickstart.handler.with_command(handler.commands[given.name])
    return replace(kickstart, text=text, handler=made, commands=commands)


def forget() -> None:
    """Forget all kickstarts."""
    _known.clear()
