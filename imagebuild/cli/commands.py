"""All commands: one is imported when it is asked for, since each needs other parts of the program."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType

import click

_COMMANDS = {
    "build": ("build", "Build the images of RECIPES, several at once where the host has room for them."),
    "plan": ("build", "Show what a build of RECIPES would do, step by step, and why. Changes nothing."),
    "history": ("history", "Show the last builds in the store, the newest first; with RECIPES only theirs."),
    "lint": ("lint", "Check RECIPES and the kickstarts they give, or kickstart files, without building."),
    "render": ("render", "Print the kickstart of RECIPE, checked, with stand-ins for secrets, nonce and digest."),
    "list": ("catalogue:list_recipes", "List the images that `build` knows by name, the project's own first."),
    "scrub": ("scrub", "Make a template of IMAGE: remove what belongs to one machine, offline."),
    "audit": (
        "scrub",
        "Tell which identities and secrets IMAGE still carries, with the path of each. Changes nothing.",
    ),
    "doctor": (
        "doctor",
        "Tell what this host can do, what is missing, and how to mend it. Exit code 3 if a build cannot run.",
    ),
    "operations": ("operations", "Show the operations that a recipe can apply to an installed disk."),
    "init": (
        "project",
        "Start a project in FOLDER: a recipe that builds at once, a job for CI, the schema for editors.",
    ),
    "schema": (
        "project",
        "Print the JSON Schema of recipes: with it an editor completes keys and marks what is wrong.",
    ),
    "completion": (
        "man_page",
        "Print what makes SHELL complete imagebuild's commands, options and the names of recipes.",
    ),
    "gc": ("gc", "Remove from the store what nobody needs any more."),
}
"""The name of each command; the module of it, with the name in there where that is another; and the first sentence of its help."""


class CommandTable(Mapping[str, click.Command]):
    """The commands by their names, as click's group keeps them."""

    def __getitem__(self, name: str) -> click.Command:
        module, _, attribute = _COMMANDS[name][0].partition(":")
        command: click.Command = getattr(_imported(f"{__package__}.{module}"), attribute or name)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class CommandGroup(click.Group):
    """A group that lists its commands without importing them, and their sentences whole."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the section of ``--help``."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in self.list_commands(ctx)])


def _imported(name: str) -> ModuleType:
    """A module. What it needs stays for good: the collector need not walk it again and again, which would take a tenth of a second."""
    if (there := sys.modules.get(name)) is not None:
        return there
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()
