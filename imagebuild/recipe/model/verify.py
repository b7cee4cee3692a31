"""The verification of a finished image: which checks it must pass when it is booted."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from imagebuild.recipe.model.named import NamedKind
from imagebuild.schema import fields as f
from imagebuild.schema.findings import Finding, Refused, did_you_mean
from imagebuild.schema.section import Section, Short, without_nothing
from imagebuild.verify import registry
from imagebuild.verify.check import CheckCall

_KIND = NamedKind(
    word="check",
    listed="imagebuild checks list",
    names=registry.names,
    params_model=lambda name: registry.get(name).params,
    summary=lambda name: registry.get(name).summary,
    call=registry.call,
)
CheckItem = Annotated[CheckCall, *_KIND.annotations]


def _known(value: object) -> str:
    name = f.text(value)
    if name not in registry.names():
        hint = did_you_mean(name, registry.names()) or f"`{_KIND.listed}` lists them"
        raise Refused([Finding((), f"unknown check {name!r}", hint)])
    return name


CheckName = Annotated[str, BeforeValidator(_known), f.Kind("check", schema=lambda: {"enum": list(registry.names())})]


def _enabled(value: object) -> dict[str, Any] | None:
    if value is None:
        return {"enabled": False}
    if not isinstance(value, bool):
        raise ValueError(f"expected true, false or a mapping of keys, found {f.shown(value)}")
    return {"enabled": value}


class Verify(Section):
    """The verification of a finished image in booted clones."""

    enabled: bool = Field(default=True, description="Whether `build` verifies the image before it becomes the latest.")
    checks: Annotated[tuple[CheckItem, ...], BeforeValidator(without_nothing)] = Field(
        (),
        description="Checks in addition to those that follow from the recipe, or with other parameters: each is a"
        " name, or a name with its parameters. See docs/checks.md.",
    )
    without: Annotated[tuple[CheckName, ...], BeforeValidator(without_nothing)] = Field(
        (), description="Names of checks to leave out."
    )


VERIFY = Short(_enabled, f.Kind("`true`, `false`", lambda section: str(section.enabled).lower(), {"type": "boolean"}))
