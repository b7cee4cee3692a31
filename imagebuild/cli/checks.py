"""``imagebuild checks``: the checks that a booted image can be put through."""

from __future__ import annotations

import click

from imagebuild.cli.described_call import show_call
from imagebuild.cli.options import json_option
from imagebuild.cli.output import echo, echo_data
from imagebuild.cli.records import CheckDescribed
from imagebuild.events import data
from imagebuild.schema.json_schema import schema_of
from imagebuild.verify import registry
from imagebuild.verify.check import Check


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
            echo_data(data(_record(check)))
        else:
            echo(f"{name:<24} {check.summary}")


@checks.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show what the check NAME looks at, and its parameters."""
    check = registry.get(name)
    if as_json:
        echo_data(data(_record(check)))
        return
    show_call(name, check.summary, check.description, check.params)


def _record(check: Check) -> CheckDescribed:
    return CheckDescribed(
        name=check.name,
        version=check.version,
        summary=check.summary,
        description=check.description,
        parameters=schema_of(check.params),
    )
