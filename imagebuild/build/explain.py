"""Explains why a step must run: what differs from its last result for the recipe, with the line
where possible.
"""

from __future__ import annotations

import difflib
from contextlib import suppress
from pathlib import Path

from imagebuild import fingerprint
from imagebuild.build.plan import Plan
from imagebuild.build.step_cache import Settings
from imagebuild.step import Step

_SHOWN = 4
KICKSTART = "kickstart.cfg"
"""In the store entry of an installation: its kickstart as planned, with placeholders for secrets.
"""


def why(settings: Settings, plan: Plan, step: Step) -> str:
    """A short reason why ``step`` must run."""
    if settings.refresh:
        return "requested with --refresh"
    layer = _layer(plan, settings) if step is plan.customise else None
    return _difference(settings, plan, step) + (f"; continues from the checkpoint {layer}" if layer else "")


def _layer(plan: Plan, settings: Settings) -> str | None:
    """The checkpoint from which customising would start; None for the installed disk. The store is
    not verified.
    """
    if settings.refresh:
        return None
    return next((one.what for one in reversed(plan.layers) if settings.store.find(one.kind, one.fingerprint)), None)


def _difference(settings: Settings, plan: Plan, step: Step) -> str:
    before = settings.store.last(step.kind, plan.recipe.name)
    if before is None:
        return "not built yet"
    inputs, folder = before
    differing = fingerprint.changed(inputs, step.inputs)
    if not differing:
        return "its result is no longer in the store"
    if step is plan.install and "kickstart" in differing:
        with suppress(OSError, UnicodeDecodeError):
            old = (folder / KICKSTART).read_text()
            lines = _lines(old, plan, inputs.get("payload", ""))
            others = [name for name in differing if name != "kickstart"]
            return ", ".join([*lines, *([f"changed: {_listed(others)}"] if others else [])]) or "changed: kickstart"
    return f"changed: {_listed(differing)}"


def _listed(names: list[str]) -> str:
    """The first few names: an added operation renumbers all that follow."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _lines(old: str, plan: Plan, payload: str) -> list[str]:
    """Where the kickstart differs from ``old``, as ``file:line changed``: the first line, and how
    many more.

    Lines that differ only in the root archive do not count: that is reported separately.
    """
    new = plan.installed_kickstart.text
    matcher = difflib.SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False)
    archives = {payload, plan.install.inputs.get("payload", "")} - {"", "in the VM"}
    changed: list[int] = []
    for tag, first, end, at, upto in matcher.get_opcodes():
        if tag == "equal":
            continue
        texts = [*old.splitlines()[first:end], *new.splitlines()[at:upto]]
        if not all(any(one in text for one in archives) for text in texts):
            changed += range(at, max(upto, at + 1))
    if not changed:
        return []
    origins = plan.installed_kickstart.line_origins
    origin = origins[changed[0]] if changed[0] < len(origins) else None
    place = f"{_shown(Path(origin.file))}:{origin.line}" if origin else f"line {changed[0] + 1} of the kickstart"
    more = (
        f" and {len(changed) - 1} more lines" if len(changed) > 2 else " and one more line" if len(changed) == 2 else ""
    )
    return [f"{place} changed{more}"]


def _shown(path: Path) -> str:
    """A template's path, relative to the working folder if it is inside it."""
    with suppress(ValueError):
        return str(path.absolute().relative_to(Path.cwd()))
    return str(path)
