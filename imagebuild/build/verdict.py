"""Whether an artifact has passed the checks of its recipe, as its manifest records it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from imagebuild.build import checks
from imagebuild.files import write_atomically
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.store.artifact import MANIFEST, Artifact, write_checksums
from imagebuild.verify.check import CheckCall
from imagebuild.verify.verification import Verification, for_manifest, versions

_KEY, _CHECKS = "verification", "checks"


def wanted(recipe: Recipe, *, asked: bool | None) -> list[CheckCall]:
    """The checks that a build of a recipe runs. ``asked`` is what the command line says, None if nothing."""
    enabled = recipe.verify.enabled if asked is None else asked
    return checks.of(recipe) if enabled and not why_not(recipe) else []


def why_not(recipe: Recipe) -> str:
    """Why the image of a recipe cannot be verified on any host with KVM or QEMU; empty if it can."""
    return "its machine is for Xen" if recipe.machine.virt_type == "xen" else ""


def is_verified(artifact: Artifact, calls: Sequence[CheckCall]) -> bool:
    """Whether the manifest says that the image passed these checks, with these parameters, in their
    current versions.
    """
    try:
        content = json.loads((artifact.folder / MANIFEST).read_text(encoding="utf-8"))
        found = content.get(_KEY) or {}
        tested = {name: one.get("version") for name, one in found.get("checks", {}).items()}
    except (OSError, ValueError, AttributeError):
        return False
    same = content.get(_CHECKS) == checks.recorded(calls) and tested == versions(calls)
    return bool(found.get("verdict") == "passed" and same and all(_has_run(call, found) for call in calls))


def _has_run(call: CheckCall, found: Mapping[str, Any]) -> bool:
    """False for a check that was not checkable because the manifest has only a digest of what it needs."""
    whole = call.params.for_manifest() == call.params.model_dump(mode="json")
    return whole or found["checks"][call.name].get("status") != "not checkable"


def seconds(artifact: Artifact | None) -> float | None:
    """How long the verification of an artifact took, if its manifest says so."""
    if artifact is None:
        return None
    try:
        found = json.loads((artifact.folder / MANIFEST).read_text(encoding="utf-8"))[_KEY]["seconds"]
        return float(found)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def put_checks(artifact: Artifact, calls: Sequence[CheckCall]) -> None:
    """Write the checks that an artifact must pass to its manifest: a recipe's may have changed since."""
    manifest = artifact.folder / MANIFEST
    content = json.loads(manifest.read_text(encoding="utf-8"))
    if content.get(_CHECKS) != checks.recorded(calls):
        content[_CHECKS] = checks.recorded(calls)
        content.pop(_KEY, None)
        _write_manifest(artifact, content)
        write_checksums(artifact)


def _write_manifest(artifact: Artifact, content: Mapping[str, Any]) -> None:
    manifest = artifact.folder / MANIFEST
    write_atomically(manifest, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    manifest.chmod(0o644)


def put_verdict(artifact: Artifact, done: Verification) -> None:
    """Write the verdict to the manifest, and the checksums of all files of the artifact."""
    content = json.loads((artifact.folder / MANIFEST).read_text(encoding="utf-8"))
    content[_KEY] = for_manifest(done)
    _write_manifest(artifact, content)
    write_checksums(artifact)
