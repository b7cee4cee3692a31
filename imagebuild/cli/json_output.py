"""Every command that has ``--json``: which kinds of lines it prints, and their JSON Schema.

The schemas are generated from the classes that print the lines. docs/json.md is generated from the
same table (:mod:`imagebuild.cli.json_page`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Any

from pydantic import TypeAdapter

from imagebuild import events
from imagebuild.cli import (
    farm_records,
    host_records,
    image_records,
    rebuild_records,
    records,
    remote_records,
    store_records,
    trust_records,
)
from imagebuild.doctor import HostAbility, HostFinding
from imagebuild.events import JsonLine
from imagebuild.nightly.outcome import NightlyEnded
from imagebuild.publish import reports
from imagebuild.verify import verification

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Kinds = tuple[type[JsonLine], ...]

_STEPS: Kinds = (events.StepStarted, events.StepRunning, events.StepDone, events.StepFailed, events.Note)
_ALWAYS: Kinds = (events.ErrorReported,)
OUTPUTS: Mapping[str, Kinds] = {
    "attest": (trust_records.ArtifactSigned, trust_records.KeyCreated),
    "audit": (*_STEPS, events.Audited),
    "build": (*_STEPS, events.ArtifactReady),
    "checks": (records.CheckDescribed,),
    "diff": (image_records.ImagesCompared,),
    "doctor": (HostFinding, HostAbility),
    "export": (*_STEPS, events.Exported),
    "farm": (*_STEPS, events.ArtifactReady, farm_records.FarmWorkerListed, farm_records.FarmOrderListed),
    "gc": (store_records.StoreCollected,),
    "history": (store_records.BuildRecorded,),
    "hosts": (host_records.HostListed, host_records.TargetListed, host_records.GroupListed),
    "init": (records.ProjectCreated,),
    "inspect": (image_records.ImageInspected,),
    "instantiate": (*_STEPS, reports.TemplateInstantiated, reports.InstanceRemoved),
    "lint": (records.LintFinding, records.LintEnded, records.RuleDescribed, records.SyntaxDescribed),
    "list": (records.ImageListed,),
    "nightly": (*_STEPS, NightlyEnded),
    "operations": (records.OperationDescribed,),
    "page": (*_STEPS, records.PageReported),
    "plan": (records.BuildPlanned,),
    "prune": (*_STEPS, reports.TemplatesPruned),
    "publish": (*_STEPS, reports.ReleasePublished, reports.ReleasePlanned),
    "rebuild": (*_STEPS, rebuild_records.RebuildPlanned, rebuild_records.ImageRebuilt),
    "rollback": (*_STEPS, reports.TemplateRolledBack),
    "sbom": (image_records.SbomWritten,),
    "scrub": (*_STEPS, events.Scrubbed),
    "shelf": (*_STEPS, records.ShelfWritten, records.ShelfVerified),
    "store": (
        *_STEPS,
        remote_records.EntryListed,
        remote_records.EntryShared,
        remote_records.EntryChecked,
        remote_records.RemotePruned,
    ),
    "templates": (*_STEPS, reports.TemplatesListed),
    "verify": (*_STEPS, events.Verified),
    "verify-signature": (trust_records.SignatureChecked,),
}
"""For each command the kinds of its lines, without that of an error."""


def kinds_of(command: str) -> Kinds:
    """The kinds of lines of a command, an error among them."""
    return (*OUTPUTS[command], *_ALWAYS)


def schema(command: str) -> dict[str, Any]:
    """The JSON Schema of each line that ``imagebuild COMMAND --json`` prints."""
    made = _schema(kinds_of(command))
    about = {"title": f"A line of imagebuild {command} --json", "description": "Each line of the output is one object."}
    return {"$schema": DIALECT, **about, **made}


def _schema(kinds: Kinds) -> dict[str, Any]:
    union: Any = reduce(or_, kinds)
    adapter: TypeAdapter[Any] = TypeAdapter(union)
    made = adapter.json_schema(mode="serialization")
    definitions = made["$defs"]
    for name, node in definitions.items():
        _require(name, node)
    if events.Verified in kinds:
        _embed_verification(definitions)
    for one in definitions.values():
        one.pop("title", None)
        if "description" in one:
            one["description"] = " ".join(one["description"].replace("``", "`").split())
        for field in one.get("properties", {}).values():
            field.pop("title", None)
    return made


_PARTIAL = frozenset(
    kind.__name__
    for kind in (
        events.ErrorReported,
        host_records.HostListed,
        host_records.TargetListed,
        host_records.GroupListed,
        host_records.SecretSource,
    )
)
"""What is printed without the fields that are not known or not set."""


def _require(name: str, node: dict[str, Any]) -> None:
    fields = node.get("properties", {})
    node["required"] = [
        key
        for key, field in fields.items()
        if name not in _PARTIAL or "default" not in field or key in ("schema", "event", "kind")
    ]


def _embed_verification(definitions: dict[str, Any]) -> None:
    """Describe what ``verify`` reports as verify.json is described."""
    result = {key: value for key, value in verification.schema().items() if key not in ("$schema", "title")}
    definitions |= result.pop("$defs")
    definitions["Verification"] = result
    definitions[events.Verified.__name__]["properties"]["result"] = {"$ref": "#/$defs/Verification"}
