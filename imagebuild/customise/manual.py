"""The manual of the operations, written from their docstrings and parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise import registry

if TYPE_CHECKING:
    from imagebuild.customise.operation import Operation

_INTRODUCTION = """\
# Operations

An operation changes a guest's disk offline, through libguestfs. A recipe lists operations by name under
`operations:`; one with parameters is a mapping of its name to them. All operations of a recipe share one launch
of libguestfs. They run by phase (customise, configure, scrub, seal), within a phase in the recipe's order. An operation
that finds nothing to do changes nothing, so all can be applied again.

This page is written from the operations' own files in `imagebuild/customise/operations/`
(`pytest tests/customise/test_operations_manual.py --regenerate`).
"""


def page() -> str:
    """``docs/operations.md``: every operation with its phase and parameters."""
    return "\n".join([_INTRODUCTION, *(section(registry.get(name)) for name in registry.names())])


def section(operation: Operation) -> str:
    """One operation in Markdown."""
    default = ", part of the default set" if operation.name in registry.DEFAULTS else ""
    lines = [
        f"## {operation.name}",
        "",
        f"{operation.summary}. Phase: {operation.phase.name.lower()}{default}.",
        "",
        operation.description.replace("``", "`"),
    ]
    parameters = _parameters(operation)
    if parameters:
        lines += ["", "| parameter | default | meaning |", "|---|---|---|", *parameters]
    return "\n".join(lines) + "\n"


def _parameters(operation: Operation) -> list[str]:
    return [
        f"| `{name}` | {'required' if field.is_required() else f'`{field.default}`'} | {field.description} |"
        for name, field in operation.params.model_fields.items()
    ]
