"""``imagebuild completion`` and the man page; both are generated from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
from click.shell_completion import get_completion_class

import imagebuild
from imagebuild.cli.output import echo_document

_NAME = "imagebuild"
_FILES = (
    ("recipes/, kickstart/", "Recipes and kickstart templates of the project in the current folder."),
    ("artifacts/", "Finished images, one folder for each recipe and version."),
    ("/var/cache/imagebuild, ~/.cache/imagebuild", "The store for root and for other users: results of steps."),
)
_ENVIRONMENT = (
    ("IMAGEBUILD_STORE", "Folder of the store, like --store."),
    ("IMAGEBUILD_OUTPUT", "Folder for artifacts, like --output."),
)
_EXIT_CODES = (
    ("0", "Success."),
    ("1", "Failure."),
    ("2", "Invalid recipe or usage."),
    ("3", "Host requirements not met: something is missing, full or unreachable."),
    ("130", "Interrupted."),
)


@click.command(
    epilog="""\b
Examples:
  imagebuild completion bash >/etc/bash_completion.d/imagebuild
  eval "$(imagebuild completion zsh)\""""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete imagebuild's commands, options and recipe names."""
    found = get_completion_class(shell)
    assert found is not None
    source = found(ctx.find_root().command, {}, _NAME, f"_{_NAME.upper()}_COMPLETE").source()
    echo_document(f"{source}\n")


def man_page(cli: click.Group) -> str:
    """The page imagebuild(1) as man(7) source."""
    summary = (cli.help or "").partition("\n")[0].rstrip(".")
    lines = [
        f'.TH IMAGEBUILD 1 "" "imagebuild {imagebuild.__version__}" "User Commands"',
        ".SH NAME",
        f"{_NAME} \\- {_escaped(summary[0].lower() + summary[1:])}",
        ".SH SYNOPSIS",
        f".B {_NAME}",
        r"\fICOMMAND\fR [\fIOPTIONS\fR] [\fIARGUMENTS\fR]",
        ".SH DESCRIPTION",
        "A recipe describes an image. The system is installed in a virtual machine from a kickstart, cleaned offline",
        "of everything that must differ in each clone, and converted to a compressed qcow2 image with a manifest.",
        ".SH COMMANDS",
    ]
    for path, command, inner in all_commands(cli):
        lines += _command(path, command, inner)
    for title, entries in (("EXIT STATUS", _EXIT_CODES), ("ENVIRONMENT", _ENVIRONMENT), ("FILES", _FILES)):
        lines.append(f".SH {title}")
        for term, text in entries:
            lines += [".TP", f"\\fB{_escaped(term)}\\fR", _escaped(text)]
    lines += [".SH SEE ALSO", *_references()]
    return "\n".join(lines) + "\n"


def _references() -> list[str]:
    names = [("virt-install", 1), ("virsh", 1), ("guestfs", 3), ("qemu-img", 1), ("kickstart", 5)]
    return [f".BR {name} ({section})," for name, section in names[:-1]] + [f".BR {names[-1][0]} ({names[-1][1]})"]


def all_commands(cli: click.Group) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command that is not a group: its words after ``imagebuild``, itself, and its context."""
    return _commands(cli, click.Context(cli, info_name=_NAME, **cli.context_settings))


def _commands(group: click.Group, ctx: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        inner = click.Context(command, parent=ctx, info_name=name)
        if isinstance(command, click.Group):
            yield from _commands(command, inner)
        else:
            yield inner.command_path.partition(" ")[2], command, inner


def _command(path: str, command: click.Command, ctx: click.Context) -> list[str]:
    lines = [f".SS {_NAME} {_escaped(path)} {_escaped(' '.join(command.collect_usage_pieces(ctx)))}"]
    lines += _paragraphs(command.help or "")
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and record[1] and "--help" not in parameter.opts:
            lines += [".TP", f"\\fB{_escaped(record[0])}\\fR", _escaped(record[1])]
    if command.epilog:
        lines += _paragraphs(command.epilog)
    return lines


def _paragraphs(text: str) -> list[str]:
    """Convert click's help text: paragraphs, and blocks marked with a backspace, whose lines stay
    as they are.
    """
    lines: list[str] = []
    for paragraph in re.split(r"\n[ \t]*\n", text.strip()):
        if "\b" in paragraph:
            rows = [row for row in paragraph.splitlines() if row.strip() != "\b"]
            lines += [".PP", ".nf", *(_escaped(row) for row in rows), ".fi"]
        else:
            lines += [".PP", _escaped(" ".join(paragraph.split()))]
    return lines


def _escaped(text: str) -> str:
    """``text`` escaped so that troff prints it unchanged."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return f"\\&{escaped}" if escaped.startswith((".", " ")) else escaped
