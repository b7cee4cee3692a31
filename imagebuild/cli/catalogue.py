"""``imagebuild list``: the images that can be built by name."""

from __future__ import annotations

from typing import Any

import click

from imagebuild.cli.options import json_option, refuse_unknown, var_option
from imagebuild.cli.output import echo_data, echo_lines, shown
from imagebuild.errors import RecipeError
from imagebuild.host.hints import command_line
from imagebuild.recipe.catalogue import Listed, catalogue
from imagebuild.recipe.folders import recipe_folders
from imagebuild.recipe.load import checked


@click.command("list")
@var_option
@json_option
def list_recipes(given: dict[str, str], as_json: bool) -> None:
    """List the images that can be built by name, the project's own first.

    A recipe with a matrix yields several images.
    """
    listed = list(catalogue(recipe_folders(), given))
    refuse_unknown(given, (one.image.variables for one in listed if one.image))
    lines: list[str] = []
    for one in listed:
        problems = _problems(one)
        described = one.image.text("description") if one.image and not problems else ""
        if as_json:
            echo_data(_record(one, described, problems))
            continue
        if problems:
            described = (
                f"({problems} {'problem' if problems == 1 else 'problems'},"
                f" see `{command_line('imagebuild', 'lint', one.file)}`)"
            )
        lines.append(f"{shown(one.name):<24} {shown(described):<52} {one.file}")
    echo_lines(lines)


def _record(one: Listed, described: str, problems: int) -> dict[str, Any]:
    from imagebuild.cli.records import ImageListed  # late, as in lint: few runs need it
    from imagebuild.events import data

    axes: dict[str, str | int | float | bool] = {**one.image.axes} if one.image else {}
    return data(ImageListed(name=one.name, description=described, file=str(one.file), axes=axes, problems=problems))


def _problems(one: Listed) -> int:
    error = one.error
    try:
        if one.image:
            checked(one.image)
    except RecipeError as found:
        error = found
    return len(error.problems) if error else 0
