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

from imagebuild.kickstart.kept_lines import stands_alone
from imagebuild.kickstart.parsed import GivenOptions


class Handler(BaseHandler):  # type: ignore[misc]  # pykickstart has no types
    """A handler that creates its commands when a text uses them, or when they are accessed."""

    def __init__(self, version: str) -> None:
        self.commands: dict[str, Any] = {}
        self.detached = False
        self._whole = handler_class(version)
        self._adopted: set[type[Any]] = set()
        self.version = self._whole.version
        super().__init__()

    def _registerCommands(self, *_: Any) -> None:  # noqa: N802 - pykickstart's name
        for name, its_class in self._whole.dataMap.items():
            self.registerData(name, its_class)

    def dispatcher(self, args: list[str], lineno: int) -> Any:
        if args[0] not in self.commands and args[0] in self._whole.commandMap:
            self._make(self._whole.commandMap[args[0]])
        return super().dispatcher(args, lineno)

    def _setCommand(self, cmdObj: Any) -> None:  # noqa: N802, N803 - pykickstart's names
        # Without pykickstart's list of what to write in which order: nothing is written.
        setattr(self, _attribute(cmdObj.__class__), cmdObj)

    def knows(self, name: str) -> bool:
        """Whether the syntax has a command of this name."""
        return name in self._whole.commandMap

    def __getattr__(self, name: str) -> Any:
        """A command that the text does not use, with pykickstart's defaults."""
        command: Any = _attributes(self.__dict__["_whole"]).get(name) if "_whole" in self.__dict__ else None
        if command is None:
            raise AttributeError(name)
        if self.detached:
            unused = _unused(command)
            self._setCommand(unused if stands_alone(command) else self._own(unused))
        else:
            self._make(command)
        return self.__dict__[name]

    def _make(self, command: type[Any]) -> None:
        made = _fresh(command)
        made.handler = self
        self._setCommand(made)
        # Under all its names: part is partition, too.
        self.commands.update(dict.fromkeys(_names(self._whole)[command], made))

    def adopt(self, command: Any) -> None:
        """Use a command of an earlier text, which nobody may change."""
        self._adopted.add(type(command))
        self._setCommand(command)
        self.commands.update(dict.fromkeys(_names(self._whole)[type(command)], command))

    @contextmanager
    def given_back(self, command: Any) -> Iterator[None]:
        """Replace an adopted command of a class with a new one. Inside the block, its line is parsed again: what
        came after it cannot conflict with it.
        """
        self._adopted.remove(command)
        self._make(command)
        made = getattr(self, _attribute(command))
        made.conflictingCommands = ()
        try:
            yield
        finally:
            del made.conflictingCommands

    def detach(self) -> None:
        """Copy the commands, because the originals are reused for the next text."""
        copies = {id(one): self._detached(one) for one in self.commands.values()}
        self.commands = {name: copies[id(one)] for name, one in self.commands.items()}
        for made in copies.values():
            self._setCommand(made)
        self.detached = True

    def with_command(self, command: Any) -> Handler:
        """A copy of this detached handler with another result of one of its commands."""
        made = object.__new__(Handler)
        made.__dict__.update(self.__dict__)
        made.commands = {**self.commands, **dict.fromkeys(_names(self._whole)[type(command)], command)}
        made._setCommand(command)
        return made

    def _detached(self, command: Any) -> Any:
        return command if type(command) in self._adopted else self._own(command)

    def _own(self, command: Any) -> Any:
        """A copy of a command. Lists in it are shared: nothing is changed after parsing."""
        made = object.__new__(type(command))
        made.__dict__.update(command.__dict__)
        made.__dict__["handler"] = self
        return made


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
    """pykickstart's class for a version of the syntax. ``RHEL6+F43`` is RHEL6 with the commands that
    only F43 has added. Raises ValueError for an unknown version.
    """
    older, joined, newer = version.partition("+")
    if joined:
        whole, more = handler_class(older), handler_class(newer)
        commands = {**more.commandMap, **whole.commandMap}
        return type(version, (whole,), {"commandMap": commands, "dataMap": {**more.dataMap, **whole.dataMap}})
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
    return {_attribute(command): command for command in whole.commandMap.values()}


@cache
def _attribute(command: Any) -> str:
    """The attribute of a handler through which pykickstart exposes a command."""
    return str(command.__name__).split("_", 1)[-1].lower()


class _Recorded(Namespace):
    """argparse's result, which remembers the values that differ from the defaults."""

    __slots__ = ("defaults", "values")
    defaults: Callable[[str], Any]
    values: dict[str, Any]

    def __init__(self, defaults: Callable[[str], Any]) -> None:
        object.__setattr__(self, "defaults", defaults)
        object.__setattr__(self, "values", {})

    def copied(self) -> _Recorded:
        """The same values, which can be changed independently."""
        made = _Recorded(self.defaults)
        made.__dict__.update(self.__dict__)
        for name, value in self.__dict__.items():
            if not (value is None or isinstance(value, str | int)):
                made.__dict__[name] = _copied(value)
        made.values.update(self.values)
        return made

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if value is not None and value != self.defaults(name):
            self.values[name] = value
        else:
            self.values.pop(name, None)


def record(op: Any) -> None:
    """Make pykickstart's option parser ``op`` remember the options of the last line that it parsed.

    It also keeps the results of lines that had neither errors nor warnings: the images of a matrix
    share most of their lines, and argparse is slow.
    """
    parse = op.parse_known_args
    defaults = cache(op.get_default)
    done: dict[tuple[str, ...], tuple[_Recorded, list[str]]] = {}

    def parse_known_args(args: Any = None, namespace: Any = None, **more: Any) -> Any:
        op.lineno = more.pop("lineno", op.lineno)
        words = tuple(args)
        if words in done:
            found, extra = done[words]
            op.recorded = found.copied()
            return op.recorded, list(extra)
        op.recorded = _Recorded(defaults)
        before = warned()
        found, extra = parse(args, op.recorded, **more)
        if warned() == before and len(done) < _MOST_LINES:
            done[words] = found.copied(), list(extra)
        return found, extra

    op.parse_known_args = parse_known_args


_MOST_LINES = 4096
_warnings = [0]


def warned() -> int:
    """How many warnings ``note_warning`` has noted."""
    return _warnings[0]


def note_warning() -> None:
    """Note that pykickstart has warned: the result of the line is not kept."""
    _warnings[0] += 1


def forget(op: Any) -> None:
    """Forget what ``record`` has recorded."""
    op.recorded = None


def recorded(op: Any) -> GivenOptions:
    """The options of the last line that the option parser ``op`` parsed."""
    found = getattr(op, "recorded", None)
    known = getattr(op, "_option_string_actions", {})  # argparse has no public list of options
    return GivenOptions(found.values if found is not None else {}, known)


_made: dict[type[Any], tuple[Any, dict[str, Any], tuple[tuple[str, Any], ...]]] = {}
"""Commands, and their initial state: what can be shared, and what must be copied."""


def _fresh(command: type[Any]) -> Any:
    one, plain, changing = _initial(command)
    state = vars(one)
    state.clear()
    state.update(plain)
    for key, value in changing:
        state[key] = _copied(value)
    if "op" in plain:
        forget(plain["op"])  # a line may be refused before its options are parsed
    return one


def _initial(command: type[Any]) -> tuple[Any, dict[str, Any], tuple[tuple[str, Any], ...]]:
    if command not in _made:
        new = command()
        if hasattr(vars(new).get("op"), "parse_known_args"):
            record(new.op)
        # Its option parser is kept: it refers to this very command for the line number.
        changing = tuple((key, value) for key, value in vars(new).items() if key != "op" and not _is_plain(value))
        _made[command] = new, {key: value for key, value in vars(new).items() if key not in dict(changing)}, changing
    return _made[command]


@cache
def _unused(command: Any) -> Any:
    """A command that a text does not use, with pykickstart's defaults; all texts share its state."""
    _, plain, changing = _initial(command)
    made = object.__new__(command)
    made.__dict__.update(plain, **{key: _copied(value) for key, value in changing})
    return made


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int)


def _copied(value: Any) -> Any:
    # Most of the state is plain values, on which deepcopy is slow.
    if _is_plain(value):
        return value
    return type(value)() if type(value) in (list, dict) and not value else copy.deepcopy(value)
