"""The rules for kickstarts that a recipe suppresses, and why."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainValidator

from imagebuild.schema import fields as f
from imagebuild.schema import rule_names
from imagebuild.schema.findings import Finding, Refused, did_you_mean
from imagebuild.schema.section import Section, without_none


def _reasons(value: Any) -> dict[str, str]:
    """Names of rules with a reason for each. Raises Refused with all problems."""
    if not isinstance(value, dict):
        raise ValueError(f"expected a mapping of rules to reasons, found {f.shown(value)}")
    known = rule_names.names()
    wrong: list[Finding] = []
    reasons: dict[str, str] = {}
    for name, reason in value.items():
        if name not in known:
            hint = did_you_mean(str(name), known) or "`imagebuild lint --list-rules` lists them"
            wrong.append(Finding((name,), f"there is no rule {name!r}", hint, at_key=True))
            continue
        try:
            reasons[name] = f.text("" if reason is None else reason)
        except ValueError as error:
            wrong.append(Finding((name,), str(error)))
            continue
        if not reasons[name].strip():
            wrong.append(Finding((name,), "a suppressed rule needs a reason", "say why this recipe may break the rule"))
    if wrong:
        raise Refused(wrong)
    return reasons


def _schema() -> dict[str, Any]:
    reason = {"type": "string", "pattern": r"\S"}
    return {"type": "object", "properties": dict.fromkeys(rule_names.names(), reason), "additionalProperties": False}


Ignored = Annotated[
    dict[str, str], BeforeValidator(without_none), PlainValidator(_reasons), f.Kind("{rule: reason, …}", schema=_schema)
]


class Lint(Section):
    """The rules that the rendered kickstart is checked against."""

    ignore: Ignored = Field(
        default_factory=dict, description="Rules that are suppressed for this recipe, each with a reason; see lint.md."
    )
