"""A difference as JSON has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from imagebuild.contents.compare import Delta, Entry, ImageDiff, account_changes, file_changes
from imagebuild.contents.described import file_data
from imagebuild.contents.gates import FiredGate


def data(diff: ImageDiff, fired: Iterable[FiredGate]) -> dict[str, Any]:
    """Everything in it, and the gates that it does not pass."""
    return {
        "same": diff.is_empty,
        "gates": [asdict(one) for one in fired],
        "system": [asdict(one) for one in diff.system],
        "packages": asdict(diff.packages),
        "kernels": _delta(diff.kernels, lambda one: one),
        "accounts": _delta(diff.accounts, asdict, account_changes),
        "units": _delta(diff.units, asdict),
        "listening": _delta(diff.listening, asdict),
        "privileged": {
            "gained": [file_data(one) for one in diff.gained],
            "lost": [file_data(one) for one in diff.lost],
        },
        "files": _delta(diff.files, file_data, file_changes),
        "sizes": {one.name: {"old": one.old, "new": one.new} for one in diff.sizes},
    }


def _delta(
    delta: Delta[Entry],
    of: Callable[[Entry], Any],
    names: Callable[[Entry, Entry], tuple[str, ...]] | None = None,
) -> dict[str, Any]:
    changed = []
    for old, new in delta.changed:
        pair = {"old": of(old), "new": of(new)}
        changed.append({**pair, "what": list(names(old, new))} if names is not None else pair)
    return {
        "added": [of(one) for one in delta.added],
        "removed": [of(one) for one in delta.removed],
        "changed": changed,
    }
