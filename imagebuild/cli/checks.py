"""``imagebuild checks``: the checks that a booted image can be put through."""

from __future__ import annotations

import click

from imagebuild.cli.options import json_option
from imagebuild.cli.output import echo, echo_data, echo_text
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
    echo_text(f"{name}\n\n{check.summary}.\n")
    if check.description:
        echo_text(f"{check.description}\n")
    fields = check.params.model_fields
    echo("Parameters: none" if not fields else "Parameters:")
    for key, field in fields.items():
        needed = "required" if field.is_required() else f"default {field.get_default(call_default_factory=True)!r}"
        echo(f"  {key:<24} {field.description or ''} ({needed})")
