"""What the ledger says about a failed build, as an error for its user."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from imagebuild.events import ErrorReported
from imagebuild.ledger.claims import BuildTry, LedgerBuild


def error_of(row: LedgerBuild) -> ErrorReported:
    """The error of a build that has failed, with the evidence of its last try."""
    if not row.tries:
        return ErrorReported(message="it failed, and the ledger does not say why", exit_code=1)
    last = row.tries[-1]
    if last.outcome == "failed":
        return _reported(last)
    used = [one for one in row.tries if one.outcome in ("lost", "unable")]
    told = "; ".join(f"{one.worker}: {one.message}" for one in used[-3:])
    hint = "`imagebuild farm status` shows each try; run the same command to try again"
    return ErrorReported(message=f"no worker finished it in {len(used)} tries: {told}", hint=hint, exit_code=1)


def _reported(last: BuildTry) -> ErrorReported:
    """The error as the build reported it, on its worker."""
    found = _evidence(last)
    code, console = found.get("exit_code"), found.get("console")
    lines = tuple(map(str, console)) if isinstance(console, list) else ()
    kept = found.get("evidence")
    return ErrorReported(
        message=last.message or "it failed",
        hint=str(found["hint"]) if found.get("hint") else None,
        exit_code=code if isinstance(code, int) and code > 0 else 1,
        console=lines,
        evidence=f"{last.worker}: {kept}" if kept else None,
    )


def _evidence(last: BuildTry) -> Mapping[str, Any]:
    try:
        found = json.loads(last.evidence or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
