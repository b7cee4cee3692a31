"""``imagebuild schema``: the language of recipes, for editors."""

from __future__ import annotations

from pathlib import Path

import click

from imagebuild.files import write_atomically
from imagebuild.recipe import schema as schemas


@click.command(
    epilog="""\b
Examples:
  imagebuild schema --output recipe.schema.json
and as the first line of a recipe, for editors with a YAML language server:
  # yaml-language-server: $schema=../recipe.schema.json"""
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file, not to standard output."
)
def schema(output: Path | None) -> None:
    """Print the JSON Schema of recipes: with it an editor completes keys and marks what is wrong."""
    if output is None:
        click.echo(schemas.text(), nl=False)
    else:
        write_atomically(output, schemas.text())
