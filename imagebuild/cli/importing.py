"""``imagebuild import``: what other tools do, as a recipe."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from imagebuild.cli.output import echo, echo_document
from imagebuild.errors import UsageError
from imagebuild.migration import command_lines, recipe_text, translation
from imagebuild.migration.command_lines import GivenCommand
from imagebuild.migration.translated import Call, Part, Remark
from imagebuild.printable import counted

_LARGEST = 1 << 20
"""The most bytes of a file that is read."""
_MOST_OPTIONS = 5000


@click.group("import")
def import_() -> None:
    """Translate the command lines of other tools to operations of a recipe."""


@import_.command(
    "virt-customize",
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  imagebuild import virt-customize commands.txt      a list for --commands-from-file
  imagebuild import virt-customize build-image.sh    the command lines in a shell script
  imagebuild import virt-customize -- -a x.qcow2 --install nginx --root-password password:x
  imagebuild import virt-customize -- virt-sysprep -d web --operations defaults,-ssh-userdir""",
)
@click.argument("arguments", nargs=-1, required=True, metavar="FILE | -- OPTIONS…", type=click.UNPROCESSED)
def virt_customize(arguments: tuple[str, ...]) -> None:
    """Print the operations of a recipe that do the same as virt-customize or virt-sysprep.

    FILE is a list of commands for --commands-from-file, or a shell script that runs these tools; -
    is standard input. What has no equivalent is a comment that says why. A password becomes a
    reference and is never printed. Nothing is run.
    """
    commands = _commands(arguments)
    if not any(command.options for command in commands):
        raise UsageError(f"{arguments[0]} has no options of virt-customize or virt-sysprep")
    if sum(len(command.options) for command in commands) > _MOST_OPTIONS:
        raise UsageError(f"{arguments[0]} has more than {_MOST_OPTIONS} options, the limit for one import")
    parts: list[Part] = []
    for command in commands:
        made = translation.parts(command)
        parts += [Remark(f"{command.tool} in line {command.line}")] if len(commands) > 1 else []
        parts += [one for one in made if not (isinstance(one, Call) and not one.params and one in parts)]
    calls = sum(isinstance(part, Call) for part in parts)
    lines = ["operations:" if calls else "operations: []", *recipe_text.written(parts)]
    echo_document("".join(f"{line}\n" for line in lines))
    missing = sum(isinstance(part, Remark) and part.missing for part in parts)
    left = f"; {counted(missing, 'option')} without a full equivalent: see the comments" if missing else ""
    echo(f"{counted(calls, 'operation')}{left}", err=True)


def _commands(arguments: tuple[str, ...]) -> list[GivenCommand]:
    first = arguments[0]
    if first != "-" and (first.startswith("-") or len(arguments) > 1 or first in command_lines.TOOLS):
        return [command_lines.of_arguments(arguments)]
    try:
        if first == "-":
            raw = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with Path(first).open("rb") as stream:
                raw = stream.read(_LARGEST + 1)
    except OSError as error:
        hint = "a command line follows after `--`, without quotes: imagebuild import virt-customize -- --install nginx"
        raise UsageError(f"{first} cannot be read: {error.strerror}", hint) from error
    if len(raw) > _LARGEST:
        raise UsageError(f"{first} is larger than {_LARGEST >> 10} KiB, the limit for such a file")
    try:
        return command_lines.of_text(raw.decode("utf-8-sig"), first)
    except UnicodeDecodeError as error:
        raise UsageError(f"{first} is not UTF-8 text") from error
