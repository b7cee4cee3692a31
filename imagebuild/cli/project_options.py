"""``--config`` and ``--to``: the project's file, and the hosts and targets that a command is for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from imagebuild.errors import ImageBuildError
from imagebuild.printable import one_line
from imagebuild.project.file import FILE

if TYPE_CHECKING:
    from imagebuild.project.select import Destination

# The project's model is imported where it is used: most builds have no project's file.

F = TypeVar("F", bound=Callable[..., Any])

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="IMAGEBUILD_CONFIG",
    metavar="FILE",
    help=f"The project's file; also set by IMAGEBUILD_CONFIG. [default: {FILE} in this folder]",
)
"""``--config``, as ``config: Path | None``."""


class DestinationName(click.ParamType[str]):
    """A host, target or group, or a place itself; completes the names of the project's file."""

    name = "destination"

    def shell_complete(self, ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from imagebuild.project.groups import ALL
        from imagebuild.project.load import load

        try:
            project = load(ctx.params.get("config"))
        except ImageBuildError:
            return []
        labels = dict.fromkeys(f"label={one}" for entry in project.entries.values() for one in entry.labels)
        names = [*project.entries, *project.groups, ALL, *labels]
        return [CompletionItem(name) for name in names if name.startswith(incomplete) and one_line(name) == name]


def destination_option(name: str = "--to", *, required: bool = False, text: str = "") -> Callable[[F], F]:
    """A repeatable option that selects hosts and targets; its value is for ``destinations``."""
    accepted = "a host, target or group of the project's file, all, label=WORD, a libvirt URI, or the path of a folder"
    return click.option(
        name,
        name.removeprefix("--"),
        type=DestinationName(),
        multiple=True,
        required=required,
        metavar="WHERE",
        help=f"{text or 'Only these'}: {accepted}; repeatable, or with commas between.",
    )


def destinations(words: Sequence[str], config: Path | None, what: str = "--to") -> tuple[Destination, ...]:
    """What the values of the option ``what`` select. Raises UsageError and RecipeError."""
    from imagebuild.project.load import load
    from imagebuild.project.select import select

    return select(load(config), words, what)
