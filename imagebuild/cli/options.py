"""Options that several commands share."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imagebuild import log
from imagebuild.cli.image_names import RecipeName as RecipeName
from imagebuild.errors import UsageError
from imagebuild.schema.similar import did_you_mean

if TYPE_CHECKING:
    from imagebuild.recipe.model.recipe import Recipe
    from imagebuild.store.store import Store

# What only some commands need is imported where it is used: `lint` of a kickstart file is to start quickly.
F = TypeVar("F", bound=Callable[..., Any])


class Size(click.ParamType[int]):
    """Bytes, with a binary unit."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from imagebuild.schema.fields import byte_size

        try:
            return byte_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Age(click.ParamType[int]):
    """Seconds, written with units, including days."""

    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from imagebuild.schema.fields import duration

        days, _, rest = str(value).rpartition("d")
        try:
            return (int(days) * 86400 if days else 0) + (duration(rest) if rest or not days else 0)
        except ValueError:
            self.fail(f"expected a time with a unit, such as 7d or 36h, found {value!r}", param, ctx)


def fresh_options(function: F) -> F:
    """``--if-changed`` and ``--max-age``: rebuild also when packages have changed or are too old."""
    age = click.option(
        "--max-age",
        type=Age(),
        metavar="AGE",
        help="Rebuild what contains packages that were fetched longer than AGE ago, such as 7d.",
    )
    return click.option(
        "--if-changed", is_flag=True,
        help="Also check the mirror, and rebuild what contains packages that are newer there; otherwise build only"
        " if the recipe has changed.",
    )(age(function))  # fmt: skip


def _given(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    given: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"expected NAME=VALUE, found {value!r}")
        given[name] = text
    return given


def var_option(function: F) -> F:
    """``--var``: values of the recipes' variables."""
    return click.option(
        "--var",
        "given",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_given,
        help="Set a variable of the recipe; repeatable. The items of a list are separated by commas.",
    )(function)


def loaded(names: Iterable[str], given: Mapping[str, str], only: Sequence[str] = ()) -> list[Recipe]:
    """The recipes of all selected images; if ``only`` has names, those of the named images.

    Raises UsageError for a ``--var`` or an image name that none of the recipes has.
    """
    from imagebuild.recipe.load import load_all

    recipes = [recipe for name in names for recipe in load_all(name, given=given, only=only)]
    for name in only:
        if name not in (found := [recipe.name for recipe in recipes]):
            raise UsageError(f"--image {name}: none of these recipes yields this image", did_you_mean(name, found))
    refuse_unknown(given, (recipe.variables for recipe in recipes))
    return recipes


def refuse_unknown(given: Mapping[str, str], variables: Iterable[Iterable[str]]) -> None:
    """Raise UsageError for a ``--var`` that is not among the recipes' ``variables``."""
    known = {name for names in variables for name in names}
    for name in given:
        if name not in known:
            raise UsageError(f"--var {name}: none of these recipes has this variable", did_you_mean(name, known))


def store_option(function: F) -> F:
    """``--store``: where the results of steps are stored."""
    return click.option(
        "--store",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder for the results of steps; also set by IMAGEBUILD_STORE. "
        "[default: /var/cache/imagebuild for root, otherwise ~/.cache/imagebuild]",
    )(function)


def output_option(function: F) -> F:
    """``--output``: where artifacts go."""
    return click.option(
        "--output",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("artifacts"),
        show_default=True,
        envvar="IMAGEBUILD_OUTPUT",
        help="Folder for artifacts; also set by IMAGEBUILD_OUTPUT.",
    )(function)


def json_option(function: F) -> F:
    """``--json``: output for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")(function)


def verbose_option(function: F) -> F:
    """``-v``: the log on standard error."""
    return click.option("-v", "--verbose", is_flag=True, help="Show executed commands on standard error.")(function)


def opened(store: Path | None) -> Store:
    """The store that the user chose, or the default one."""
    from imagebuild.store.store import Store, default_root

    return Store(store or default_root())


def log_to_stderr() -> None:
    """Send the build log to standard error too."""
    log.attach(logging.StreamHandler(sys.stderr))
