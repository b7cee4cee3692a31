"""What installs the system and from where, and the kickstart that tells it how."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator

from imagebuild.recipe import fields as f
from imagebuild.recipe.section import Section


class Installer(Section):
    """What installs the system."""

    type: Literal["kickstrap"] = Field("kickstrap", description="`kickstrap` is built in and installs Debian systems.")
    payload: Literal["host", "in-vm"] = Field(
        "host", description="Where packages are unpacked: on the host into a root archive (fast, cached), or in the VM."
    )
    mirror: f.Url | None = Field(None, description="Package mirror. Without it: what the host's own apt uses.")
    components: Annotated[tuple[f.Component, ...], Field(min_length=1)] = Field(
        ("main",), description="Components of the archive."
    )


def _variable(value: Any) -> str | int | bool | tuple[str, ...]:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, list | tuple):
        return tuple(f.text(item) for item in value)
    if isinstance(value, str):
        return f.text(value)
    raise ValueError(f"expected text, a whole number, true, false or a list of texts, found {f.shown(value)}")


Variable = Annotated[
    str | int | bool | tuple[str, ...],
    PlainValidator(_variable),
    PlainSerializer(lambda value: list(value) if isinstance(value, tuple) else value, return_type=Any),
    f.Kind("text, number, true, false or [text, …]"),
]


class Kickstart(Section):
    """The kickstart template and what it is told."""

    template: f.TemplateName = Field(
        "debian.ks.j2",
        description="A Jinja2 template, sought in the project's `kickstart/`, then among the shipped ones.",
    )
    variables: dict[f.VariableName, Variable] = Field(
        default_factory=dict, description="Values of your own; the template sees them as `variables.NAME`."
    )
