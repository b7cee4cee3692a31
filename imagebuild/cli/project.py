"""``imagebuild init`` and ``imagebuild schema``: a new project, and the JSON Schemas of recipes,
of the project's file and of the results of commands.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click

from imagebuild.cli.options import RecipeName
from imagebuild.cli.output import echo, echo_document
from imagebuild.files import write_atomically
from imagebuild.host.hints import command_line
from imagebuild.project import creation
from imagebuild.project import schema as project_schema
from imagebuild.publish import reports
from imagebuild.recipe import schema as recipe_schema
from imagebuild.recipe.load import one_image
from imagebuild.verify import verification


@click.command(
    epilog="""\b
Examples:
  imagebuild init images
  imagebuild init . --name web --from debian-12 --ci gitlab"""
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", help="Name of the first image. [default: the folder's name]")
@click.option(
    "--from", "base", type=RecipeName(), default="debian-13", show_default=True, help="Recipe that it extends."
)
@click.option(
    "--ci",
    type=click.Choice(["github", "gitlab", "none"]),
    default="github",
    show_default=True,
    help="CI job to create.",
)
def init(folder: Path, name: str | None, base: str, ci: creation.Ci) -> None:
    """Create a project in FOLDER: a recipe that is ready to build, a CI job, the schema for
    editors.

    Existing files are never overwritten.
    """
    image = one_image(base)
    name = name or folder.resolve().name
    for path in creation.create(folder, name, image.source.stem, ci, image.axes):
        echo(path)
    echo(f"next: {command_line('cd', folder)} && {command_line('imagebuild', 'plan', name)}")


@click.command(
    epilog="""\b
Examples:
  imagebuild schema --output recipe.schema.json
  imagebuild schema --of project --output project.schema.json
  imagebuild schema --of verify
and as the first line of a recipe, for editors with a YAML language server:
  # yaml-language-server: $schema=../recipe.schema.json"""
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the schema to this file instead of standard output.",
)
@click.option(
    "--of",
    "what",
    type=click.Choice(["recipe", "project", "verify", "publish"]),
    default="recipe",
    show_default=True,
    help="What the schema describes: recipes, the project's file imagebuild.yaml, verify.json, which is also the"
    " result of `verify --json`, or the last line of `publish`, `templates`, `rollback` and `prune` with --json.",
)
def schema(output: Path | None, what: Literal["recipe", "project", "verify", "publish"]) -> None:
    """Print the JSON Schema of recipes, of the project's file, or of the results of commands.

    Editors use those of files to complete keys and to mark mistakes.
    """
    if what == "recipe":
        text = recipe_schema.text()
    elif what == "project":
        text = project_schema.text()
    else:
        found = verification.schema() if what == "verify" else reports.schema()
        text = f"{json.dumps(found, indent=1)}\n"
    if output is None:
        echo_document(text)
    else:
        write_atomically(output, text)
