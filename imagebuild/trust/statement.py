"""The statement that is signed: SLSA provenance v1 in an in-toto statement v1. Pure.

Formats: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md and
https://slsa.dev/spec/v1.0/provenance; what our build type means is in docs/provenance.md. A statement
follows from the artifact alone, so that making it again gives the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:imagebuild:build:1"
"""Changes when the meaning of a parameter changes."""
BUILDER = "urn:imagebuild:builder"
"""The builder's ID, unless the project names one."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST = 10_000


@dataclass(frozen=True)
class Dependency:
    """What went into a build; ``digest`` is like sha256:… or gitCommit:…, ``note`` says more."""

    name: str
    digest: str
    uri: str = ""
    note: str = ""


@dataclass(frozen=True)
class Statement:
    """What a signed statement says. ``subjects`` is name → SHA-256; times are UTC (ISO 8601)."""

    recipe: str
    version: str
    subjects: Mapping[str, str]
    builder: str
    tool: str
    started: str
    finished: str
    dependencies: tuple[Dependency, ...]


def text(manifest: Mapping[str, Any], subjects: Mapping[str, str], builder_id: str = "") -> bytes:
    """The statement about an artifact with this manifest and these files (name → SHA-256)."""
    content = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(subjects.items())],
        "predicateType": PREDICATE,
        "predicate": {"buildDefinition": _definition(manifest), "runDetails": _run(manifest, builder_id or BUILDER)},
    }
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=True).encode() + b"\n"


def _definition(manifest: Mapping[str, Any]) -> dict[str, Any]:
    recipe = manifest.get("recipe") or {}
    steps = manifest.get("steps") or {}
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": {
            "name": manifest["name"],
            "version": manifest["version"],
            # as it was composed from its files; a secret is only the name of its variable or file
            "recipe": recipe,
        },
        "internalParameters": {
            "fingerprint": manifest.get("fingerprint", ""),
            "kickstart": manifest.get("kickstart") or {},
            "steps": {name: step.get("fingerprint", "") for name, step in steps.items()},
        },
        "resolvedDependencies": list(_dependencies(manifest)),
    }


def _dependencies(manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if repository := manifest.get("repository"):
        yield {
            "name": "recipe repository",
            "digest": {"gitCommit": repository["commit"]},
            "annotations": {"modified": repository["modified"]},
        }
    for source in manifest.get("sources") or ():
        found = {"name": source["name"], "digest": {"sha256": source["sha256"]}}
        yield {**found, "uri": source["url"]} if source.get("url") else found


def _run(manifest: Mapping[str, Any], builder_id: str) -> dict[str, Any]:
    built = manifest.get("built") or {}
    tool = {"imagebuild": manifest["imagebuild"]} if manifest.get("imagebuild") else {}
    versions = {**tool, **(manifest.get("tools") or {})}
    metadata = {
        "invocationId": manifest.get("run") or f"{manifest['name']}/{manifest['version']}",
        "startedOn": _time(built.get("began")),
        "finishedOn": _time(built.get("ended")),
    }
    return {
        "builder": {"id": builder_id, "version": {name: str(version) for name, version in versions.items()}},
        "metadata": {key: value for key, value in metadata.items() if value},
    }


def _time(written: object) -> str:
    """A time as in RFC 3339 with Z; a manifest has +00:00."""
    return str(written or "").replace("+00:00", "Z")


def read(payload: bytes) -> Statement:
    """What a statement says that anybody could have written. Raises ValueError with what is wrong."""
    try:
        data = json.loads(payload)
        if data["_type"] != STATEMENT:
            raise ValueError("it is not an in-toto statement v1")
        if data["predicateType"] != PREDICATE:
            raise ValueError("it is another kind of statement than SLSA provenance v1")
        definition, run = data["predicate"]["buildDefinition"], data["predicate"]["runDetails"]
        if definition["buildType"] != BUILD_TYPE:
            raise ValueError("it describes another kind of build")
        parameters, metadata = definition["externalParameters"], run.get("metadata", {})
        return Statement(
            recipe=_text(parameters["name"]),
            version=_text(parameters["version"]),
            subjects=_subjects(data["subject"]),
            builder=_text(run["builder"]["id"]),
            tool=_text(run["builder"].get("version", {}).get("imagebuild", "")),
            started=_text(metadata.get("startedOn", "")),
            finished=_text(metadata.get("finishedOn", "")),
            dependencies=tuple(map(_dependency, definition.get("resolvedDependencies", []))),
        )
    except (KeyError, TypeError, AttributeError, RecursionError, UnicodeError, json.JSONDecodeError) as error:
        raise ValueError("it is incomplete or damaged") from error


def _subjects(listed: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    if not isinstance(listed, list) or not 0 < len(listed) <= _MOST:
        raise ValueError("it names no file, or too many")
    for one in listed:
        name, digests = _text(one["name"]), one["digest"]
        if "/" in name or "\0" in name or name in ("", ".", "..") or name in found:
            raise ValueError("it names a file in another folder, or one file twice")
        if not isinstance(digests, dict) or not _SHA256.fullmatch(_text(digests["sha256"])):
            raise ValueError(f"it has no SHA-256 of {name}")
        found[name] = digests["sha256"]
    return found


def _dependency(data: Any) -> Dependency:
    kind, value = next(iter(data["digest"].items()))
    modified = data.get("annotations", {}).get("modified")
    note = {True: "with changes that were not committed", False: "", None: ""}[modified]
    return Dependency(_text(data["name"]), f"{_text(kind)}:{_text(value)}", _text(data.get("uri", "")), note)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 4096:
        raise TypeError("not a text")
    return value
