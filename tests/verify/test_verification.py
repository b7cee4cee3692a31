"""The result of a verification: as a verdict, as JSON with its schema, for the manifest, and as JUnit XML."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator, ValidationError

from imagebuild.verify import registry, verification
from imagebuild.verify.check import CheckResult
from imagebuild.verify.verification import BOOT, Verification, data, for_manifest, junit, schema, text, versions
from tests import junit_schema

RESULTS = (
    CheckResult(BOOT, "passed", seconds=12.5, version="0" * 12),
    CheckResult("swap-off", "failed", ("there is swap", "and more"), version="1" * 12),
    CheckResult("selinux", "not applicable", (), "no SELinux"),
    CheckResult("firewall", "not checkable", (), "unreadable"),
)
DONE = Verification(
    image="web 2026-11-29.1",
    sha256="ab" * 32,
    accelerator="kvm",
    seconds_to_login=12.5,
    results=RESULTS,
    replaced=("CPUs not pinned",),
    began="2026-11-29T12:00:00+00:00",
    seconds=60.25,
)
PASSED = replace(DONE, results=tuple(one for one in RESULTS if one.status != "failed"))
HOSTILE = "</failure><x a=\"'&]]>\x00\x1b[31m\n\u202e\ud800\udc80\ufffe"


def test_the_verdict() -> None:
    assert (DONE.verdict, [one.name for one in DONE.failed]) == ("failed", ["swap-off"])
    assert (PASSED.verdict, PASSED.failed) == ("passed", ())


def test_json() -> None:
    found = json.loads(text(DONE))
    assert found == json.loads(json.dumps(data(DONE)))
    assert (found["schema"], found["verdict"], found["seconds_to_login"]) == (1, "failed", 12.5)
    assert found["results"][1]["problems"] == ["there is swap", "and more"]
    assert text(replace(DONE, console=(HOSTILE,))).isascii()


def test_the_schema_accepts_every_result() -> None:
    Draft202012Validator.check_schema(schema())
    validator = Draft202012Validator(schema())
    for one in (DONE, PASSED, replace(DONE, seconds_to_login=None, accelerator="none", console=("a", "b"))):
        validator.validate(json.loads(text(one)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"schema": 2},
        {"verdict": "good"},
        {"results": [{"name": "x"}]},
        {"results": [{**data(DONE)["results"][0], "status": "ok"}]},
        {"seconds_to_login": "12"},
        {"console": "text"},
    ],
)
def test_the_schema_refuses_others(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(schema()).validate({**json.loads(text(DONE)), **wrong})


def test_the_schema_requires_every_field() -> None:
    whole = json.loads(text(DONE))
    for field in whole:
        with pytest.raises(ValidationError):
            Draft202012Validator(schema()).validate({key: whole[key] for key in whole if key != field})


def test_what_a_manifest_records() -> None:
    assert for_manifest(DONE) == {
        "verdict": "failed",
        "began": "2026-11-29T12:00:00+00:00",
        "accelerator": "kvm",
        "seconds": DONE.seconds,
        "checks": {
            BOOT: {"status": "passed", "version": "0" * 12},
            "swap-off": {"status": "failed", "version": "1" * 12},
            "selinux": {"status": "not applicable", "version": ""},
            "firewall": {"status": "not checkable", "version": ""},
        },
    }


def test_versions_are_those_of_the_code() -> None:
    found = versions([registry.call("swap-off")])
    assert found == {BOOT: verification.boot_version(), "swap-off": registry.get("swap-off").version}


def test_junit() -> None:
    junit_schema.check(junit(DONE))
    root = ET.fromstring(junit(DONE).encode())
    (suite,) = root
    assert (root.tag, suite.tag) == ("testsuites", "testsuite")
    counts = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped", "time")}
    assert counts == {"tests": "4", "failures": "1", "errors": "0", "skipped": "2", "time": "60.2"}
    cases = {case.get("name"): case for case in suite}
    assert len(cases[BOOT]) == 0
    failure = cases["swap-off"].find("failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("there is swap", "there is swap\nand more")
    skipped = cases["selinux"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "not applicable: no SELinux"


def test_junit_of_a_guest_that_did_not_boot_has_its_console() -> None:
    failed = CheckResult(BOOT, "failed", ("the kernel panicked: x",))
    root = ET.fromstring(junit(replace(DONE, results=(failed,), console=("one", "two"))).encode())
    assert root.findtext("testsuite/testcase/failure") == "the kernel panicked: x\none\ntwo"


def test_hostile_text_is_escaped() -> None:
    hostile = (
        CheckResult(BOOT, "failed", (HOSTILE,)),
        CheckResult("swap-off", "failed", (HOSTILE, HOSTILE)),
        CheckResult("selinux", "not checkable", (), HOSTILE),
    )
    made = junit(replace(DONE, image=HOSTILE, results=hostile, console=(HOSTILE,)))
    junit_schema.check(made)
    root = ET.fromstring(made.encode())
    assert [element.tag for element in root.iter()] == [
        "testsuites", "testsuite", "testcase", "failure", "testcase", "failure", "testcase", "skipped",
    ]  # fmt: skip
    assert "\x1b" not in made
    assert "\\x1b[31m\\n" in (root.findtext("testsuite/testcase/failure") or "")
    Draft202012Validator(schema()).validate(json.loads(text(replace(DONE, image=HOSTILE, results=hostile))))


def test_a_failure_without_a_problem_is_one() -> None:
    root = ET.fromstring(junit(replace(DONE, results=(CheckResult("x", "failed"),))).encode())
    failure = root.find("testsuite/testcase/failure")
    assert failure is not None
    assert failure.get("message") == "failed"
