"""``imagebuild graph``."""

from __future__ import annotations

from pathlib import Path

import click

from imagebuild.build import engine
from imagebuild.build.step_cache import Settings
from imagebuild.cli.options import (
    RecipeName,
    fresh_options,
    loaded,
    opened,
    output_option,
    store_option,
    var_option,
)
from imagebuild.cli.output import echo_document
from imagebuild.cli.plot_option import PlotFile, write_plot
from imagebuild.errors import UsageError
from imagebuild.pictures import plan_graph


@click.command(
    epilog="""\b
Examples:
  imagebuild graph debian-13 --plot plan.svg
  imagebuild graph debian-13 --if-changed | dot -Tpng >plan.png"""
)
@click.argument("recipe", type=RecipeName())
@click.option(
    "--plot", "files", type=PlotFile(".svg", ".dot"), multiple=True, metavar="FILE",
    help="Write this file, FILE.svg or FILE.dot, instead of printing DOT; repeatable.",
)  # fmt: skip
@var_option
@fresh_options
@click.option("--refresh", is_flag=True, help="Plan as `build --refresh` would.")
@click.option("--verify/--no-verify", "verify", default=None, help="Plan as `build` would with this option.")
@output_option
@store_option
def graph(
    recipe: str,
    files: tuple[Path, ...],
    given: dict[str, str],
    if_changed: bool,
    max_age: int | None,
    refresh: bool,
    verify: bool | None,
    output: Path,
    store: Path | None,
) -> None:
    """Draw the plan of RECIPE: its steps and their inputs, which are cached, which run, and why.

    RECIPE is a recipe that yields one image, or the name of an image. The picture adapts to light and
    dark pages. Graphviz's program dot lays it out; DOT is its language, for other programs.
    """
    settings = Settings(opened(store), output, refresh, if_changed, max_age, verify)
    images = loaded([recipe], given)
    if len(images) > 1:
        names = ", ".join(image.name for image in images)
        raise UsageError(f"{recipe} yields {len(images)} images", f"name one of them: {names}")
    outlook = engine.planned(images[0], settings)
    if not files:
        echo_document(plan_graph.dot(outlook))
    for path in files:
        text = plan_graph.picture(outlook) if path.suffix == ".svg" else plan_graph.dot(outlook)
        write_plot(path, text)
