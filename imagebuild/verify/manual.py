"""The manual of the checks, generated from their docstrings and parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.schema import parameters
from imagebuild.verify import registry

if TYPE_CHECKING:
    from imagebuild.verify.check import Check

_INTRODUCTION = """\
# Checks

A check looks at a booted guest: a clone of the image, which is thrown away afterwards. Checks are listed by name; one
with parameters is a mapping from its name to its parameters. Most checks read what the guest prints, all of them
in one script; the others act on the machine: they reboot it, or add a CPU.

A check has passed or failed, with the problems as sentences. It is *not applicable* to a guest that has nothing to
check, and *not checkable* where it cannot be known whether the guest is right, as when a file could not be read. A
check whose commands fail or print nothing has not passed.

This page is generated from the checks' source files in `imagebuild/verify/checks/`
(`pytest tests/verify/test_checks_manual.py --regenerate`).
"""
_TURNS = {
    "running": "Acts on the running guest.",
    "reboot": "Acts on the guest after all checks of the running guest.",
    "shutdown": "Acts on the guest last.",
}


def page() -> str:
    """``docs/checks.md``: every check with its parameters."""
    return "\n".join([_INTRODUCTION, _table(), *(section(registry.get(name)) for name in registry.names())])


def _table() -> str:
    rows = [f"| [{name}](#{name}) | {registry.get(name).summary} |" for name in registry.names()]
    return "\n".join(["| check | a guest passes if |", "|---|---|", *rows, ""])


def section(check: Check) -> str:
    """One check in Markdown."""
    turn = f" {_TURNS[check.turn]}" if check.act is not None else ""
    lines = [f"## {check.name}", "", f"{check.summary}.{turn}", "", check.description.replace("``", "`")]
    if rows := parameters.table(check.params):
        lines += ["", "| parameter | default | meaning |", "|---|---|---|", *rows]
    return "\n".join(lines) + "\n"
