"""All commands. Each is imported only when it is used, because each needs different parts of the
program.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType

import click
from click.shell_completion import CompletionItem

_COMMANDS = {
    "build": ("build", "Build the images of RECIPES, several in parallel if the host has room for them."),
    "plan": ("build", "Show what a build of RECIPES would do, step by step, and why. Changes nothing."),
    "graph": ("graph", "Draw the plan of RECIPE: its steps and their inputs, which are cached, which run, and why."),
    "history": ("history", "Show the last builds in the store, newest first; with RECIPES, only theirs."),
    "lint": ("lint", "Check RECIPES and the kickstarts rendered from them, or kickstart files, without building."),
    "render": ("render", "Print the checked kickstart of RECIPE, with placeholders for secrets, nonce and digest."),
    "list": ("catalogue:list_recipes", "List the images that can be built by name, the project's own first."),
    "scrub": ("scrub", "Turn IMAGE into a template: remove machine-specific data, offline."),
    "audit": (
        "scrub",
        "Report which identities and secrets IMAGE still contains, with the path of each. Changes nothing.",
    ),
    "verify": ("verify", "Boot two throwaway clones of IMAGE, check them, and compare their identities."),
    "attest": ("attest", "Sign the provenance of artifacts, with the key of `trust.sign` in imagebuild.yaml."),
    "verify-signature": (
        "verify_signature:verify_signature",
        "Check that IMAGE is what was signed: who signed it, and whether every byte is the same.",
    ),
    "run": ("run", "Start a throwaway machine of IMAGE, on its serial console; or run COMMAND in it."),
    "export": ("export", "Write IMAGE into OUTPUT-FOLDER in the FORMAT of another platform. Changes nothing else."),
    "checks": ("checks", "Show the checks of `verify`, and of recipes under verify.checks."),
    "inspect": (
        "inspect",
        "Show what is in IMAGE: system, packages, disk, accounts, units, files with privileges. Changes nothing.",
    ),
    "diff": (
        "diff",
        "Show how the contents of image B differ from those of A: packages, files, accounts, units, sizes.",
    ),
    "rebuild": ("rebuild", "Build the image of MANIFEST again, and show how the result differs from it, and why."),
    "sbom": (
        "sbom",
        "Write the software bill of materials of IMAGE: packages, licences, files that belong to no package.",
    ),
    "shelf": (
        "shelf",
        "Write artifacts to a folder that a web server serves to virt-builder and simplestreams, or check one.",
    ),
    "page": ("page", "Write the artifacts to DIR as static HTML: versions, what is in them, what changed, a feed."),
    "doctor": (
        "doctor",
        "Show what this host can do, what is missing, and how to fix it. Exit code 3 if a build cannot run.",
    ),
    "operations": ("operations", "Show the operations that a recipe can apply to an installed disk."),
    "init": (
        "project",
        "Create a project in FOLDER: a recipe that is ready to build, a CI job, the schema for editors.",
    ),
    "import": ("importing:import_", "Translate the command lines of other tools to operations of a recipe."),
    "schema": (
        "project",
        "Print the JSON Schema of recipes, of the project's file, or of the results of commands.",
    ),
    "hosts": ("hosts", "Show the hosts, targets and groups of imagebuild.yaml. Connects to none of them."),
    "completion": (
        "man_page",
        "Print the script that makes SHELL complete imagebuild's commands, options and recipe names.",
    ),
    "publish": ("publish", "Publish IMAGE as the current version of a template, to several targets in parallel."),
    "templates": (
        "templates",
        "Show which versions of templates are where, which are current, and what was altered by hand.",
    ),
    "rollback": (
        "rollback",
        "Make an earlier version of TEMPLATE current again, on each target that has the template.",
    ),
    "prune": ("prune", "Show which old versions of templates can be removed, and remove them with --yes."),
    "nightly": (
        "nightly",
        "Build what has changed, compare it with the last good version, and publish what passes the gates.",
    ),
    "farm": ("farm", "Build images on several machines."),
    "worker": ("worker", "Build images for the farm of a scheduler, until SIGTERM."),
    "instantiate": ("instantiate", "Make a machine NAME from TEMPLATE, on a host where that was published."),
    "store": (
        "store",
        "Show, fill, check and clean the store that machines share: the section `store` of imagebuild.yaml.",
    ),
    "gc": ("gc", "Remove from the store what is no longer needed."),
}
"""For each command: its module, with the object's name if that is not the command's, and the first
paragraph of its help.
"""


class CommandTable(Mapping[str, click.Command]):
    """The commands by name, as click's group stores them."""

    def __getitem__(self, name: str) -> click.Command:
        module, _, attribute = _COMMANDS[name][0].partition(":")
        command: click.Command = getattr(_imported(f"{__package__}.{module}"), attribute or name)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class CommandGroup(click.Group):
    """A group that lists its commands without importing them and without truncating their help."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the section of ``--help``."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the commands by name, and the options of ``imagebuild`` itself. click's own method
        imports each command for its help.
        """
        matching = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        named = [CompletionItem(name, help=_COMMANDS[name][1].partition(". ")[0]) for name in matching]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]


def _imported(name: str) -> ModuleType:
    """Import a module and exempt all that it loads from garbage collection.

    The objects stay until the process ends. Scanning them again and again would take a tenth of a
    second.
    """
    if (there := sys.modules.get(name)) is not None:
        return there
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()
