"""The result of a verification, as a record, as ``verify.json`` and as JUnit XML. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from imagebuild import fingerprint
from imagebuild.junit import JunitCase, JunitSuite
from imagebuild.junit import text as junit_text
from imagebuild.verify import registry
from imagebuild.verify.check import CheckCall, CheckResult

SCHEMA = 1
"""Incremented when a field changes its meaning or is removed."""
ROOM = 768 << 20
"""Bytes that the overlays of two clones may take."""
BOOT = "boot"
"""The name under which the boot itself is reported."""
Verdict = Literal["passed", "failed"]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What two clones of an image showed. Times are in seconds, ``began`` is UTC (ISO 8601).

    ``accelerator`` is kvm or tcg, or ``none`` if nothing was booted. ``replaced`` says what differed
    from the image's domain definition, and so was not verified.
    """

    image: str
    sha256: str
    accelerator: str
    seconds_to_login: float | None
    results: tuple[CheckResult, ...]
    replaced: tuple[str, ...] = ()
    console: tuple[str, ...] = ()
    """The last lines of the console, if the guest did not boot."""
    began: str = ""
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """``failed`` if any check failed. What is not checkable is reported, and fails nothing."""
        return "failed" if self.failed else "passed"

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """The checks that failed."""
        return tuple(one for one in self.results if one.status == "failed")


def boot_version() -> str:
    """The version of the code that boots clones."""
    return fingerprint.code("verify/boot_console.py", "verify/clone.py", "verify/clone_xml.py")[:12]


def versions(calls: Sequence[CheckCall]) -> dict[str, str]:
    """The current version of each check, the boot included."""
    return {BOOT: boot_version(), **{call.name: registry.get(call.name).version for call in calls}}


def data(verification: Verification) -> dict[str, Any]:
    """The content of ``verify.json``."""
    return {"schema": SCHEMA, "verdict": verification.verdict, **asdict(verification)}


def schema() -> dict[str, Any]:
    """The JSON Schema of ``verify.json``, and of the result that ``verify --json`` prints.

    A later version may add fields; ``schema`` says whether the others still mean the same.
    """
    from pydantic import TypeAdapter  # takes its time, and most commands print no schema

    made = TypeAdapter(Verification).json_schema(mode="serialization")
    for one in (made, *made["$defs"].values()):
        one["required"] = list(one["properties"])  # asdict() writes all of them
    own = {"schema": {"const": SCHEMA}, "verdict": {"enum": list(get_args(Verdict))}}
    made["properties"] = {**own, **made["properties"]}
    made["required"] = list(made["properties"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "Result of imagebuild verify"}


def text(verification: Verification) -> str:
    """``verify.json``."""
    return json.dumps(data(verification), indent=2, ensure_ascii=True) + "\n"


def for_manifest(verification: Verification) -> dict[str, Any]:
    """What the manifest records: the verdict, and which version of which check said what."""
    return {
        "verdict": verification.verdict,
        "began": verification.began,
        "accelerator": verification.accelerator,
        "seconds": verification.seconds,
        "checks": {one.name: {"status": one.status, "version": one.version} for one in verification.results},
    }


def junit(verification: Verification) -> str:
    """The results as JUnit XML: one test case for each check."""
    suite = JunitSuite(
        f"imagebuild verify {verification.image}",
        verification.began,
        verification.seconds,
        [_case(one, verification.console) for one in verification.results],
    )
    return junit_text([suite])


def _case(one: CheckResult, console: Sequence[str]) -> JunitCase:
    failed = one.status == "failed"
    details = (*one.problems, *(console if one.name == BOOT else ()))
    return JunitCase(
        "imagebuild.verify",
        one.name,
        one.seconds,
        failure=(one.problems[0] if one.problems else "failed") if failed else "",
        details=details if failed else (),
        skipped=f"{one.status}: {one.reason}" if one.status.startswith("not") else "",
    )
