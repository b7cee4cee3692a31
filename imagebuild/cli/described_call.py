"""Prints what an operation or a check is, for people."""

from __future__ import annotations

from pydantic import BaseModel

from imagebuild.cli.output import echo, echo_text
from imagebuild.schema.parameters import default_of


def show_call(title: str, summary: str, description: str, params: type[BaseModel]) -> None:
    """Print the title, the summary, the description and the parameters."""
    echo_text(f"{title}\n\n{summary}.\n")
    if description:
        echo_text(f"{description}\n")
    echo("Parameters:" if params.model_fields else "Parameters: none")
    for key, field in params.model_fields.items():
        default = default_of(field)
        needed = "required" if default is None else f"default {default}" if default else "optional"
        echo(f"  {key:<24} {field.description or ''} ({needed})")
