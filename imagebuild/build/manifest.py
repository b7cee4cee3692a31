"""The manifest of an artifact: what was built, from what, with which tools, and what was changed.
JSON, no secrets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import imagebuild
from imagebuild import fingerprint
from imagebuild.build import checks
from imagebuild.build.installation_record import InstallationRecord
from imagebuild.build.plan import Plan
from imagebuild.build.repository import RecipeRepository
from imagebuild.schema.customised import CustomiseResult, OperationResult
from imagebuild.store.artifact import ImageRecord

SCHEMA = 1
"""Incremented when a field changes its meaning or is removed."""


@dataclass(frozen=True)
class Facts:
    """The facts of a finished build that are not in its plan. Times are in UTC; ``seconds`` is by
    step name.
    """

    version: str
    installation: InstallationRecord
    customised: CustomiseResult
    image: ImageRecord
    extra_images: Sequence[ImageRecord]
    """The images of further disks, in the same format."""
    other_formats: Sequence[ImageRecord]
    """All disks in the recipe's further formats."""
    domain: str
    """The file name of the domain definition, next to the image."""
    inventory: str
    """The SHA-256 of the inventory's file; empty if there is none."""
    began: datetime
    ended: datetime
    seconds: Mapping[str, float]
    tools: Mapping[str, str]
    run: str = ""
    """The name of the run that built it."""
    repository: RecipeRepository | None = None


def text(plan: Plan, facts: Facts) -> str:
    """The manifest as JSON text, keys in a fixed order."""
    return json.dumps(_content(plan, facts), indent=2, ensure_ascii=False) + "\n"


def _content(plan: Plan, facts: Facts) -> dict[str, Any]:
    recipe = plan.recipe
    return {
        "schema": SCHEMA,
        "name": recipe.name,
        "version": facts.version,
        "description": recipe.description,
        "fingerprint": plan.convert.fingerprint,
        "image": asdict(facts.image),
        "extra_images": [asdict(image) for image in facts.extra_images],
        "other_formats": [asdict(image) for image in facts.other_formats],
        "domain": facts.domain,
        "inventory_sha256": facts.inventory,
        "recipe": recipe.model_dump(mode="json"),
        "kickstart": {
            "template": plan.kickstart.template.name,
            # of the text with placeholders for nonce, payload digest and secrets: the file kickstart.cfg
            "sha256": fingerprint.text(plan.kickstart.text),
        },
        "sources": [asdict(source) for source in facts.installation.sources],
        "operations": [_operation(result) for result in facts.customised.operations],
        "checks": checks.recorded(checks.of(recipe)),
        "packages": dict(sorted(facts.customised.packages.items())),
        "tools": dict(facts.tools),
        "imagebuild": imagebuild.__version__,
        "run": facts.run,
        "repository": None if facts.repository is None else asdict(facts.repository),
        "steps": {
            step.name: {"fingerprint": step.fingerprint, "seconds": _seconds(facts, step.name)} for step in plan.steps
        },
        "built": {
            "began": facts.began.isoformat(timespec="seconds"),
            "ended": facts.ended.isoformat(timespec="seconds"),
            "accelerator": facts.installation.accelerator,
            "machine": asdict(facts.installation.machine),
            "identity": facts.installation.identity,
        },
    }


def _seconds(facts: Facts, step: str) -> float | None:
    """How long the step took in this build; None if its result was already in the store."""
    return round(facts.seconds[step], 1) if step in facts.seconds else None


def _operation(result: OperationResult) -> dict[str, Any]:
    """What an operation did, without text diffs, which are only for display."""
    changes = [{"path": change.path, "what": change.what} for change in result.changes]
    failed = [{"path": change.path, "what": change.what} for change in result.failed]
    return {**asdict(result), "changes": changes, "failed": failed}
