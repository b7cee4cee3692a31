"""``imagebuild init`` and ``imagebuild schema``: a new project, and the JSON Schemas of recipes,
of the project's file and of the results of commands.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import click
from click.shell_completion import CompletionItem

from imagebuild.cli.options import RecipeName, json_option
from imagebuild.cli.output import echo, echo_data, echo_document
from imagebuild.cli.records import ProjectCreated
from imagebuild.errors import UsageError
from imagebuild.events import data
from imagebuild.files import write_atomically
from imagebuild.host.hints import command_line
from imagebuild.nightly import outcome
from imagebuild.project import creation
from imagebuild.project import schema as project_schema
from imagebuild.publish import reports
from imagebuild.recipe import schema as recipe_schema
from imagebuild.recipe.load import one_image
from imagebuild.verify import verification

_FILE = click.Path(path_type=Path, dir_okay=False)


def _outputs() -> Sequence[str]:
    from imagebuild.cli import json_output  # imports what all commands need

    return tuple(json_output.OUTPUTS)


def _is_file(output: str) -> bool:
    return "." in output or "/" in output


class CommandOrFile(click.ParamType[str]):
    """The name of a command that has ``--json``, or a file; completes the names."""

    name = "command"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        known = _outputs()
        if not _is_file(value) and value not in known:
            near = get_close_matches(value, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"these have it: {', '.join(known)}"
            self.fail(f"no command {value!r} has --json; {hint}", param, ctx)
        return value

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in _outputs() if name.startswith(incomplete)]


@click.command(
    epilog="""\b
Examples:
  imagebuild init images
  imagebuild init . --name web --like debian-12 --ci gitlab
  imagebuild init images --like debian-13-server --cloud-init"""
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", help="Name of the first image. [default: the folder's name]")
@click.option(
    "--like", "--from", "base", type=RecipeName(), default="debian-13", show_default=True,
    help="Recipe that it extends.",
)  # fmt: skip
@click.option("--cloud-init", is_flag=True, help="Give the image cloud-init, for clouds and Proxmox.")
@click.option(
    "--ci",
    type=click.Choice([*creation.CI, *creation.SCHEDULES, "none"]),
    default="github",
    show_default=True,
    help="CI job, or nightly timer, to create.",
)
@json_option
def init(folder: Path, name: str | None, base: str, ci: creation.Ci, *, cloud_init: bool, as_json: bool) -> None:
    """Create a project in FOLDER: a recipe that is ready to build, a CI job, the schema for
    editors.

    Existing files are never overwritten.
    """
    image = one_image(base)
    name = name or folder.resolve().name
    made = creation.create(folder, name, image.source.stem, ci, image.axes, cloud_init=cloud_init)
    if as_json:
        echo_data(data(ProjectCreated(name=name, files=tuple(map(str, made)))))
        return
    for path in made:
        echo(path)
    echo(f"next: {command_line('cd', folder)} && {command_line('imagebuild', 'plan', name)}")


@click.command(
    epilog="""\b
Examples:
  imagebuild schema --file recipe.schema.json
  imagebuild schema --of project --file project.schema.json
  imagebuild schema --output build
and as the first line of a recipe, for editors with a YAML language server:
  # yaml-language-server: $schema=../recipe.schema.json"""
)
@click.option(
    "--of",
    "what",
    type=click.Choice(["recipe", "project", "verify", "publish", "nightly"]),
    help="Describe a file: a recipe, the project's file imagebuild.yaml, verify.json of an artifact, or nightly.json;"
    " or the last line of the commands of publishing with --json. [default: recipe]",
)
@click.option(
    "--output",
    type=CommandOrFile(),
    metavar="COMMAND",
    help="Describe each line that COMMAND prints with --json. A value with a dot or a slash is a file, as of --file.",
)
@click.option("--file", type=_FILE, help="Write the schema to this file instead of standard output.")
def schema(
    what: Literal["recipe", "project", "verify", "publish", "nightly"] | None, output: str | None, file: Path | None
) -> None:
    """Print the JSON Schema of recipes, of the project's file, or of the results of commands.

    Editors use those of files to complete keys and to mark mistakes. docs/json.md describes what
    commands print with --json.
    """
    if output is not None and _is_file(output):
        if file is not None:
            raise UsageError(f"--output {output} and --file are mutually exclusive", "give the file with --file")
        file, output = Path(output), None
    if output is not None and what is not None:
        raise UsageError("--of and --output are mutually exclusive")
    text = _schema(what or "recipe") if output is None else _schema_of_output(output)
    if file is None:
        echo_document(text)
    else:
        write_atomically(file, text)


def _schema(what: Literal["recipe", "project", "verify", "publish", "nightly"]) -> str:
    if what == "recipe":
        return recipe_schema.text()
    if what == "project":
        return project_schema.text()
    return _text({"verify": verification, "publish": reports, "nightly": outcome}[what].schema())


def _schema_of_output(command: str) -> str:
    from imagebuild.cli import json_output  # imports what all commands need

    return _text(json_output.schema(command))


def _text(found: dict[str, Any]) -> str:
    return f"{json.dumps(found, indent=1)}\n"
