"""What completion has to know about each command, in a file: importing a command takes a third of a
second, and completion needs only its options and the types of its arguments.

``completion.json`` is written from the commands, and a test compares the two. click does the rest:
it gets commands with the same parameters, which do nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from imagebuild.cli.commands import CommandGroup

TABLE = Path(__file__).with_name("completion.json")


class _Deferred(click.ParamType[Any]):
    """A type that completes values itself, imported when it is asked to."""

    name = "text"

    def __init__(self, place: str) -> None:
        self._place = place

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        module, _, name = self._place.partition(":")
        kind: click.ParamType[Any] = getattr(import_module(module), name)()
        return kind.shell_complete(ctx, param, incomplete)


class _Described(Mapping[str, click.Command]):
    """Commands by name, each made when it is asked for."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._table = table

    def __getitem__(self, name: str) -> click.Command:
        data = self._table[name]
        if "commands" in data:
            inner: Any = _Described(data["commands"])  # click only reads it
            return click.Group(name, commands=inner, help=data["help"])
        return click.Command(name, params=[_parameter(one) for one in data["params"]], help=data["help"])

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


def light(cli: click.Group) -> click.Group:
    """``cli`` with commands that can be completed and not run."""
    commands: Any = _Described(json.loads(TABLE.read_text(encoding="utf-8")))  # click only reads it
    return CommandGroup(cli.name, commands=commands, params=list(cli.params), help=cli.help)


def table(cli: click.Group) -> str:
    """The content of ``completion.json``: one command a line."""
    rows = (
        f"{json.dumps(name)}: {json.dumps(_command(command), sort_keys=True)}" for name, command in cli.commands.items()
    )
    return "{\n" + ",\n".join(rows) + "\n}\n"


def _command(command: click.Command) -> dict[str, Any]:
    found: dict[str, Any] = {"help": command.get_short_help_str(200)}
    if isinstance(command, click.Group):
        return found | {"commands": {name: _command(inner) for name, inner in command.commands.items()}}
    return found | {"params": [_described(one) for one in command.params]}


def _described(parameter: click.Parameter) -> dict[str, Any]:
    """The names and type of a parameter; what is usual is left out."""
    found: dict[str, Any] = {"name": parameter.name, "type": _type(parameter.type)}
    if parameter.nargs != 1:
        found["nargs"] = parameter.nargs
    if isinstance(parameter, click.Option):
        found |= {"options": parameter.opts, "help": parameter.help or ""}
        more = {
            "off": parameter.secondary_opts,
            "flag": parameter.is_flag,
            "multiple": parameter.multiple,
            "hidden": parameter.hidden,
            "envvar": parameter.envvar,
        }
        found |= {name: value for name, value in more.items() if value}
    return found


def _type(kind: click.ParamType[Any]) -> Any:
    if isinstance(kind, click.Choice):
        return {"choices": [str(choice) for choice in kind.choices]}
    if isinstance(kind, click.Path):
        return {"file": kind.file_okay, "folder": kind.dir_okay}
    own = type(kind)
    return f"{own.__module__}:{own.__qualname__}" if own.shell_complete is not click.ParamType.shell_complete else None


def _parameter(data: Mapping[str, Any]) -> click.Parameter:
    kind = data["type"]
    if isinstance(kind, str):
        made: Any = _Deferred(kind)
    elif kind and "choices" in kind:
        made = click.Choice(kind["choices"])
    elif kind:
        made = click.Path(file_okay=kind["file"], dir_okay=kind["folder"], path_type=Path)
    else:
        made = click.UNPROCESSED
    if "options" not in data:
        return click.Argument([data["name"]], type=made, nargs=data.get("nargs", 1), required=False)
    switches = [*data["options"], *data.get("off", ())]
    if "off" in data:
        switches = [f"{on}/{off}" for on, off in zip(data["options"], data["off"], strict=True)]
    flag = data.get("flag", False)
    return click.Option(
        [data["name"], *switches],
        type=None if flag else made,
        is_flag=flag,
        multiple=data.get("multiple", False),
        nargs=data.get("nargs", 1),
        hidden=data.get("hidden", False),
        envvar=data.get("envvar"),
        help=data["help"],
    )
