"""pykickstart's handlers, created quickly.

A pykickstart handler has some eighty commands, and creating an argparse parser for each takes most
of the time of parsing a kickstart. So only the commands that a text uses are created, and a command
is reused for the next text after its state has been reset.
"""

from __future__ import annotations

import copy
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from pykickstart.base import BaseHandler
from pykickstart.version import returnClassForVersion, versionMap

from imagebuild.kickstart.parsed import GivenOptions


class Handler(BaseHandler):  # type: ignore[misc]  # pykickstart has no types
    """A handler that creates its commands when a text uses them, or when they are accessed."""

    def __init__(self, version: str) -> None:
        self.commands: dict[str, Any] = {}
        self._whole = handler_class(version)
        self.version = self._whole.version
        super().__init__()

    def _registerCommands(self, *_: Any) -> None:  # noqa: N802 - pykickstart's name
        for name, its_class in self._whole.dataMap.items():
            self.registerData(name, its_class)

    def dispatcher(self, args: list[str], lineno: int) -> Any:
        if args[0] not in self.commands and args[0] in self._whole.commandMap:
            self._make(self._whole.commandMap[args[0]])
        return super().dispatcher(args, lineno)

    def knows(self, name: str) -> bool:
        """Whether the syntax has a command of this name."""
        return name in self._whole.commandMap

    def __getattr__(self, name: str) -> Any:
        """A command that the text does not use, with pykickstart's defaults."""
        command = _attributes(self.__dict__["_whole"]).get(name) if "_whole" in self.__dict__ else None
        if command is None:
            raise AttributeError(name)
        self._make(command)
        return self.__dict__[name]

    def _make(self, command: type[Any]) -> None:
        made = _fresh(command)
        made.handler = self
        self._setCommand(made)
        # Under all its names: part is partition, too.
        self.commands.update(dict.fromkeys(_names(self._whole)[command], made))

    def detach(self) -> None:
        """Copy the commands, because the originals are reused for the next text."""
        copies = {id(one): copy.copy(one) for one in self.commands.values()}
        self.commands = {name: copies[id(one)] for name, one in self.commands.items()}
        for made in copies.values():
            self._setCommand(made)


@contextmanager
def reading(version: str) -> Iterator[Handler]:
    """A handler for parsing one text; it remains valid afterwards. Only one thread may use it at a
    time.
    """
    handler = Handler(version)
    try:
        yield handler
    finally:
        handler.detach()


@cache
def handler_class(version: str) -> Any:
    """pykickstart's class for a version of the syntax. Raises ValueError for an unknown version."""
    # Once per version: each call appends to sys.path. By number, since DEVEL is not a module.
    if version not in versionMap:
        raise ValueError(f"unknown kickstart version: {version!r}")
    return returnClassForVersion(versionMap[version])


@cache
def _names(whole: Any) -> dict[type[Any], list[str]]:
    """The names of each command of a version."""
    names: dict[type[Any], list[str]] = {}
    for name, command in whole.commandMap.items():
        names.setdefault(command, []).append(name)
    return names


@cache
def _attributes(whole: Any) -> dict[str, type[Any]]:
    """The attributes of a handler through which pykickstart exposes its commands."""
    return {command.__name__.split("_", 1)[-1].lower(): command for command in whole.commandMap.values()}


class _Recorded(Namespace):
    """argparse's result, which remembers the values that differ from the defaults."""

    __slots__ = ("defaults", "values")

    def __init__(self, defaults: Callable[[str], Any]) -> None:
        object.__setattr__(self, "defaults", defaults)
        object.__setattr__(self, "values", {})

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if value is not None and value != self.defaults(name):
            self.values[name] = value
        else:
            self.values.pop(name, None)


def record(op: Any) -> None:
    """Make pykickstart's option parser ``op`` remember the options of the last line that it parsed."""
    parse = op.parse_known_args
    defaults = cache(op.get_default)

    def parse_known_args(args: Any = None, namespace: Any = None, **more: Any) -> Any:
        op.recorded = _Recorded(defaults)
        return parse(args, op.recorded, **more)

    op.parse_known_args = parse_known_args


def forget(op: Any) -> None:
    """Forget what ``record`` has recorded."""
    op.recorded = None


def recorded(op: Any) -> GivenOptions:
    """The options of the last line that the option parser ``op`` parsed."""
    found = getattr(op, "recorded", None)
    known = getattr(op, "_option_string_actions", {})  # argparse has no public list of options
    return GivenOptions(found.values if found is not None else {}, known)


_made: dict[type[Any], tuple[Any, dict[str, Any]]] = {}
"""Commands, and their initial state."""


def _fresh(command: type[Any]) -> Any:
    if command not in _made:
        new = command()
        if "op" in vars(new):
            record(new.op)
        _made[command] = new, {key: value for key, value in vars(new).items() if key != "op"}
    one, state = _made[command]
    # Its option parser is kept: it refers to this very command for the line number.
    kept = {"op": one.op} if "op" in vars(one) else {}
    vars(one).clear()
    vars(one).update({key: _copied(value) for key, value in state.items()} | kept)
    return one


def _copied(value: Any) -> Any:
    # Most of the state is plain values, on which deepcopy is slow.
    return value if value is None or isinstance(value, str | int) else copy.deepcopy(value)
