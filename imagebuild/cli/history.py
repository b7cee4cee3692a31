"""``imagebuild history``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import click

from imagebuild.cli.lines import minutes, rounded
from imagebuild.cli.options import RecipeName, json_option, opened, store_option
from imagebuild.cli.output import echo, echo_data, echo_lines, shown
from imagebuild.cli.plot_option import PlotFile, write_plot
from imagebuild.cli.store_records import BuildRecorded
from imagebuild.errors import RecipeError, UsageError
from imagebuild.events import data
from imagebuild.recipe.load import select
from imagebuild.schema.section import MIB
from imagebuild.store.history import Build, History


@click.command(
    epilog="""\b
Examples:
  imagebuild history
  imagebuild history debian-13 --limit 5
  imagebuild history debian-13 --limit 30 --plot debian-13.svg
  imagebuild history --json --limit 100 | jq -r 'select(.outcome == "failed") | "\\(.recipe): \\(.error)"'"""
)
@click.argument("recipes", nargs=-1, type=RecipeName())
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="Show the last N builds."
)
@click.option(
    "--plot",
    "picture",
    type=PlotFile(".svg"),
    metavar="FILE",
    help="Draw the time of each step and the sizes of the images to FILE.svg instead.",
)
@store_option
@json_option
def history(recipes: tuple[str, ...], limit: int, picture: Path | None, store: Path | None, as_json: bool) -> None:
    """Show the last builds in the store, newest first; with RECIPES, only theirs.

    For each build: when it began, its version, its outcome and duration, the size of the image, and
    the steps that ran. A build without a duration is still running, or died. With --json each build
    has all its steps, with their fingerprints and seconds.
    """
    known = History(opened(store))
    names = {image for name in recipes for image in _images(known, name)}
    if picture is not None:
        _plot(known.builds(names, limit), picture, recipes)
        return
    builds = [(build, known.state(build)) for build in known.builds(names, limit)]
    if as_json:
        for build, outcome in builds:
            echo_data(data(_record(build, outcome)))
    elif builds:
        echo_lines(_table([_row(build, outcome) for build, outcome in builds]))
    else:
        echo(f"no recorded builds of {', '.join(recipes)}" if recipes else "no recorded builds")


def _plot(builds: Sequence[Build], picture: Path, recipes: Sequence[str]) -> None:
    """Draw the builds that came to an end and did something; the others have no times."""
    from imagebuild.pictures import history_chart  # imported late: the table does not need it

    drawn = [build for build in reversed(builds) if any(step.seconds is not None for step in build.steps)]
    if not drawn:
        what = f" of {', '.join(recipes)}" if recipes else ""
        raise UsageError(f"there is nothing to draw: no build{what} has run a step", "build an image first")
    write_plot(picture, history_chart.picture(drawn))


def _images(known: History, name: str) -> list[str]:
    """The images that ``name`` stands for: those of the recipe, or a name that only the history
    still knows.
    """
    try:
        return [image.name or name for image in select(name)]
    except (RecipeError, UsageError):
        if known.builds([name], 1):
            return [name]
        raise


def _record(build: Build, outcome: str) -> BuildRecorded:
    steps = tuple(replace(step, seconds=rounded(step.seconds)) for step in build.steps)
    own = {**vars(build), "outcome": outcome, "steps": steps}
    return BuildRecorded(**own, seconds=rounded(build.seconds))


_HEAD = ("began", "recipe", "version", "outcome", "time", "size", "run")


def _row(build: Build, outcome: str) -> tuple[str, ...]:
    ran = ", ".join(step.name for step in build.steps if step.state == "run")
    return (
        f"{datetime.fromisoformat(build.began).astimezone():%Y-%m-%d %H:%M}",
        build.recipe,
        build.version or "",
        outcome,
        "" if build.seconds is None else minutes(build.seconds),
        "" if build.size is None else f"{build.size / MIB:.0f} MiB",
        f"{ran}{'; ' if ran and build.error else ''}{build.error or ''}",
    )


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    rows = [tuple(map(shown, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    aligned = ("<", "<", "<", "<", ">", ">", "<")
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, aligned, widths, strict=True)).rstrip()
        for row in (_HEAD, *rows)
    ]
