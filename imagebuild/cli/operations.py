"""``imagebuild operations``: the operations that can be applied to a guest's disk offline."""

from __future__ import annotations

import click

from imagebuild.cli.described_call import show_call
from imagebuild.cli.options import json_option
from imagebuild.cli.output import echo, echo_data
from imagebuild.cli.records import OperationDescribed
from imagebuild.customise import registry
from imagebuild.customise.operation import Operation
from imagebuild.events import data
from imagebuild.schema.json_schema import schema_of


@click.group()
def operations() -> None:
    """Show the operations that a recipe can apply to an installed disk."""


@operations.command("list")
@json_option
def list_operations(as_json: bool) -> None:
    """List all operations."""
    for name in registry.names():
        operation = registry.get(name)
        if as_json:
            echo_data(data(_record(operation)))
        else:
            echo(f"{name:<26} {operation.phase.name.lower():<10} {operation.summary}")


@operations.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show what the operation NAME does, and its parameters."""
    if name not in registry.names():
        from imagebuild.migration.words import refusal

        raise refusal(name)
    operation = registry.get(name)
    if as_json:
        echo_data(data(_record(operation)))
        return
    phase = operation.phase.name.lower()
    show_call(f"{name} ({phase})", operation.summary, operation.description, operation.params)


def _record(operation: Operation) -> OperationDescribed:
    return OperationDescribed(
        name=operation.name,
        phase=operation.phase.name.lower(),
        summary=operation.summary,
        description=operation.description,
        parameters=schema_of(operation.params),
    )
