"""``imagebuild list``: the images that can be built by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imagebuild.cli.options import json_option, refuse_unknown, var_option
from imagebuild.cli.output import echo_data, echo_lines, shown
from imagebuild.errors import RecipeError
from imagebuild.host.hints import command_line
from imagebuild.recipe.folders import recipe_folders
from imagebuild.recipe.known_images import KnownImage, known_images

if TYPE_CHECKING:
    from imagebuild.recipe.catalogue import Listed


@click.command("list")
@var_option
@json_option
def list_recipes(given: dict[str, str], as_json: bool) -> None:
    """List the images that can be built by name, the project's own first.

    A recipe with a matrix yields several images.
    """
    folders = recipe_folders()
    images = _computed(folders, given) if given else known_images(folders, lambda: _computed(folders, given))
    refuse_unknown(given, (one.variables for one in images))
    if as_json:
        for one in images:
            echo_data(_record(one))
    else:
        echo_lines(map(_line, images))


def _computed(folders: Sequence[Path], given: dict[str, str]) -> list[KnownImage]:
    from imagebuild.recipe.catalogue import catalogue  # late: mostly, nothing has changed

    return [_known(one) for one in catalogue(folders, given)]


def _known(one: Listed) -> KnownImage:
    problems = _problems(one)
    image = one.image
    described = image.text("description") if image and not problems else ""
    axes = image.axes if image else {}
    return KnownImage(one.name, str(one.file), described, problems, axes, tuple(image.variables) if image else ())


def _problems(one: Listed) -> int:
    from imagebuild.recipe.load import checked

    error = one.error
    try:
        if one.image:
            checked(one.image)
    except RecipeError as found:
        error = found
    return len(error.problems) if error else 0


def _line(one: KnownImage) -> str:
    described = one.description
    if one.problems:
        described = (
            f"({one.problems} {'problem' if one.problems == 1 else 'problems'},"
            f" see `{command_line('imagebuild', 'lint', one.file)}`)"
        )
    return f"{shown(one.name):<24} {shown(described):<52} {one.file}"


def _record(one: KnownImage) -> dict[str, Any]:
    from imagebuild.cli.records import ImageListed  # late, as in lint: few runs need it
    from imagebuild.events import data

    axes: dict[str, str | int | float | bool] = {**one.axes}
    listed = ImageListed(name=one.name, description=one.description, file=one.file, axes=axes, problems=one.problems)
    return data(listed)
