"""``imagebuild checks``: the checks that a booted image can be put through."""

from __future__ import annotations

import click

from imagebuild.cli.described_call import show_call
from imagebuild.cli.options import json_option
from imagebuild.cli.output import echo, echo_data
from imagebuild.verify import registry


@click.group()
def checks() -> None:
    """Show the checks of `verify`, and of recipes under verify.checks."""


@checks.command("list")
@json_option
def list_checks(as_json: bool) -> None:
    """List all checks."""
    for name in registry.names():
        check = registry.get(name)
        if as_json:
            echo_data({"name": name, "summary": check.summary, "version": check.version})
        else:
            echo(f"{name:<24} {check.summary}")


@checks.command()
@click.argument("name")
def show(name: str) -> None:
    """Show what the check NAME looks at, and its parameters."""
    check = registry.get(name)
    show_call(name, check.summary, check.description, check.params)
