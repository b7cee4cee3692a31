"""A command that counts only once is given again, and does not replace the earlier line as a whole.

pykickstart (3.78, and the installer with it) sets the options of the later line, sets most switches
that it does not have back to their defaults, and keeps most values of the earlier line. So
`bootloader --append=quiet` followed by `bootloader --location=mbr` keeps the argument, and
`clearpart --all --initlabel` followed by `clearpart --drives=sda` has no `--initlabel` any more. A
`rootpw --iscrypted HASH` followed by `rootpw --lock` makes the hash a password in plain text. Of
`reboot`, `poweroff`, `halt` and `shutdown` only the last counts. Write one line. What becomes of each
option is recorded in `tests/kickstart/data/pykickstart.json` by running pykickstart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from imagebuild.errors import Severity
from imagebuild.kickstart.parsed import Command, Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "warning"
_HINT = "write one line with all options"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """The last line of each command that is given several times."""
    if len({command.name for command in kickstart.commands}) == len(kickstart.commands) and not _of_one_kind(kickstart):
        return
    known = kickstart.handler.commands
    once = [one for one in kickstart.commands if (made := known.get(one.name)) and made.dataList() is None]
    once.sort(key=lambda one: id(known[one.name]))
    for _, group in groupby(once, key=lambda one: id(known[one.name])):
        yield from _again(known, sorted(group, key=lambda one: one.line))


_KINDS = (("halt", "poweroff", "reboot", "shutdown"), ("cmdline", "graphical", "text"))


def _of_one_kind(kickstart: Kickstart) -> bool:
    names = {command.name for command in kickstart.commands}
    return any(len(names.intersection(kind)) > 1 for kind in _KINDS)


def _again(known: dict[str, Any], commands: Sequence[Command]) -> Iterator[Said]:
    *earlier, last = commands
    if not earlier:
        return
    others = sorted({one.name for one in earlier} - {last.name})
    if others:
        yield Said(last.line, f"{last.name} replaces {', '.join(others)}: only the last of them counts", "keep one")
        return
    made = known[last.name]
    if last.name == "rootpw" and _hash_becomes_plain(made, earlier):
        message = "the hash of the earlier rootpw becomes a password in plain text, because this line lacks --iscrypted"
        yield Said(last.line, message, "write one line: rootpw --iscrypted HASH, or rootpw --lock")
        return
    lost, kept = _compared(made, earlier, last)
    parts = [f"{_listed(lost)} of an earlier line no longer counts"] if lost else []
    parts += [f"{_listed(kept)} of an earlier line still counts"] if kept else []
    if parts:
        yield Said(last.line, f"{last.name} is given again: {', and '.join(parts)}", _HINT)


def _hash_becomes_plain(made: Any, earlier: Sequence[Command]) -> bool:
    hashes = [str(one.given.values.get("password")) for one in earlier if one.has("--iscrypted")]
    return not made.isCrypted and made.password in hashes


def _compared(made: Any, earlier: Sequence[Command], last: Command) -> tuple[list[str], list[str]]:
    """The options of earlier lines that are lost, and those that are kept; not what all lines say."""
    lost: list[str] = []
    kept: list[str] = []
    for name, value in {name: value for one in earlier for name, value in one.given.values.items()}.items():
        option = next((option for option, action in last.given.known.items() if action.dest == name), None)
        if option is None or name in last.given.values or not hasattr(made, name):
            continue
        (kept if getattr(made, name) == value else lost).append(option)
    return sorted(lost), sorted(kept)


def _listed(options: Sequence[str]) -> str:
    return " and ".join(options)
