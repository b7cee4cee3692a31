"""Options that several commands share."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from imagebuild import log
from imagebuild.recipe.search import available, recipe_folders
from imagebuild.store import Store, default_root

F = TypeVar("F", bound=Callable[..., Any])


class RecipeName(click.ParamType[str]):
    """A recipe's name or file; completes the names there are."""

    name = "recipe"

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in available(recipe_folders()) if name.startswith(incomplete)]


def store_option(function: F) -> F:
    """``--store``: where results of steps are kept."""
    return click.option(
        "--store",
        type=click.Path(path_type=Path, file_okay=False),
        help=f"Folder for the results of steps; also IMAGEBUILD_STORE. [default: {default_root()}]",
    )(function)


def output_option(function: F) -> F:
    """``--output``: where artifacts go."""
    return click.option(
        "--output",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("artifacts"),
        show_default=True,
        envvar="IMAGEBUILD_OUTPUT",
        help="Folder for artifacts; also IMAGEBUILD_OUTPUT.",
    )(function)


def json_option(function: F) -> F:
    """``--json``: for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")(function)


def verbose_option(function: F) -> F:
    """``-v``: the log on standard error."""
    return click.option("-v", "--verbose", is_flag=True, help="Show the commands that are run, on standard error.")(
        function
    )


def opened(store: Path | None) -> Store:
    """The store that the user chose, or the default one."""
    return Store(store or default_root())


def log_to_stderr() -> None:
    """Send the build log to standard error too."""
    log.attach(logging.StreamHandler(sys.stderr))
