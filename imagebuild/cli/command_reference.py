"""docs/commands.md: each command with its arguments, options and examples, from the commands
themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from imagebuild.cli.man_page import all_commands

_HEAD = """\
# Commands

Written from the commands (`pytest tests/cli/test_man_page.py --regenerate`); the same text is in the man page and in
`imagebuild COMMAND --help`.
"""


def reference(cli: click.Group) -> str:
    """The page as Markdown."""
    pages = ["\n".join(_command(path, command, ctx)) for path, command, ctx in all_commands(cli)]
    return "\n".join([_HEAD, *pages])


def _command(path: str, command: click.Command, ctx: click.Context) -> Iterator[str]:
    yield f"## imagebuild {path}\n"
    yield f"```\nimagebuild {path} {' '.join(command.collect_usage_pieces(ctx))}\n```\n"
    yield from _paragraphs(command.help or "")
    records = [
        record
        for parameter in command.get_params(ctx)
        if (record := parameter.get_help_record(ctx)) is not None and record[1] and "--help" not in parameter.opts
    ]
    if records:
        yield "| option | what it does |\n|---|---|"
        yield from (f"| `{_cell(name)}` | {_cell(_escaped(text))} |" for name, text in records)
        yield ""
    yield from _paragraphs(command.epilog or "")


def _paragraphs(text: str) -> Iterator[str]:
    """click's help text; blocks that it marks with a backspace keep their lines."""
    for paragraph in re.split(r"\n[ \t]*\n", text.strip()):
        if "\b" in paragraph:
            rows = [row for row in paragraph.splitlines() if row.strip() != "\b"]
            yield "```\n" + "\n".join(rows) + "\n```\n"
        elif paragraph:
            yield f"{_escaped(' '.join(paragraph.split()))}\n"


def _escaped(text: str) -> str:
    """``text`` as Markdown shows it unchanged; what is in backticks is code already."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_<>\[\]])", r"\\\1", part) for part in parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
