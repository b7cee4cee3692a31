"""The manifest of an artifact: what was built, from what, by what, and what was changed. Plain JSON, no secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from imagebuild import fingerprint
from imagebuild.build.installation_record import InstallationRecord
from imagebuild.build.plan import Plan
from imagebuild.schema.customised import CustomiseResult, OperationResult
from imagebuild.store.artifact import ImageRecord

SCHEMA = 1
"""Counts up when a field changes its meaning or goes."""


@dataclass(frozen=True)
class Facts:
    """What a build knows at its end, beside its plan. Times are in UTC, seconds per step by the step's name."""

    version: str
    installation: InstallationRecord
    customised: CustomiseResult
    image: ImageRecord
    extra_images: Sequence[ImageRecord]
    """Those of further disks, in the same format."""
    other_formats: Sequence[ImageRecord]
    """All disks in the recipe's further formats."""
    domain: str
    """The file of the domain definition beside the image."""
    began: datetime
    ended: datetime
    seconds: Mapping[str, float]
    tools: Mapping[str, str]


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
        "recipe": recipe.model_dump(mode="json"),
        "kickstart": {
            "template": plan.kickstart.template.name,
            # of the text with stand-ins for nonce, payload digest and secrets: the file kickstart.cfg beside this
            "sha256": fingerprint.text(plan.kickstart.text),
        },
        "sources": [asdict(source) for source in facts.installation.sources],
        "operations": [_operation(result) for result in facts.customised.operations],
        "packages": dict(sorted(facts.customised.packages.items())),
        "tools": dict(facts.tools),
        "steps": {
            step.name: {"fingerprint": step.fingerprint, "seconds": _seconds(facts, step.name)} for step in plan.steps
        },
        "built": {
            "began": facts.began.isoformat(timespec="seconds"),
            "ended": facts.ended.isoformat(timespec="seconds"),
            "accelerator": facts.installation.accelerator,
            "machine": asdict(facts.installation.machine),
        },
    }


def _seconds(facts: Facts, step: str) -> float | None:
    """How long the step took in this build; None where its result was there already."""
    return round(facts.seconds[step], 1) if step in facts.seconds else None


def _operation(result: OperationResult) -> dict[str, Any]:
    """What an operation did; differences of texts are for eyes, not for the record."""
    changes = [{"path": change.path, "what": change.what} for change in result.changes]
    failed = [{"path": change.path, "what": change.what} for change in result.failed]
    return {**asdict(result), "changes": changes, "failed": failed}
