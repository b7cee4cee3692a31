"""Every check on guests that pass and guests that fail: what its probes printed, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from imagebuild.verify import registry
from imagebuild.verify.check import Check, NotCheckable, NothingToCheck, Params, Printed

CASES = Path(__file__).parent / "checks"


def cases() -> list[Any]:
    found = []
    for name in registry.names():
        if registry.get(name).judge is not None:
            described = yaml.safe_load_all((CASES / f"{name}.yaml").read_text())
            found += [pytest.param(name, case, id=f"{name}: {case['case']}") for case in described]
    return found


def output(value: str | dict[str, Any]) -> Printed:
    return (
        Printed(value.rstrip("\n"), 0)
        if isinstance(value, str)
        else Printed(value["text"].rstrip("\n"), value["status"])
    )


@pytest.mark.parametrize(("name", "case"), cases())
def test_judges(name: str, case: dict[str, Any]) -> None:
    check = registry.get(name)
    seen = {probe: output(case["seen"].get(probe, "")) for probe in check.probes}
    assert set(case["seen"]) <= set(check.probes)
    params = registry.call(name, case.get("params")).params
    assert answer(check, seen, params) == {
        key: case[key] for key in ("problems", "not applicable", "not checkable") if key in case
    }


def answer(check: Check, seen: dict[str, Printed], params: Params) -> dict[str, Any]:
    """The judge's answer in the words of a case; a guest that passes has none."""
    assert check.judge is not None
    try:
        problems = list(check.judge(seen, params))
    except NothingToCheck as reason:
        return {"not applicable": str(reason)}
    except NotCheckable as reason:
        return {"not checkable": str(reason)}
    return {"problems": problems} if problems else {}


def test_every_check_has_a_passing_and_a_failing_guest() -> None:
    for name in registry.names():
        if registry.get(name).judge is not None:
            described = list(yaml.safe_load_all((CASES / f"{name}.yaml").read_text()))
            assert any(is_passed(case) for case in described), name
            assert any(case.get("problems") for case in described), name


def is_passed(case: dict[str, Any]) -> bool:
    return not {"problems", "not applicable", "not checkable"} & case.keys()


def test_every_case_file_belongs_to_a_check() -> None:
    assert {path.stem for path in CASES.glob("*.yaml")} <= set(registry.names())


HOSTILE = [
    Printed("", 0),
    Printed("", 1),
    Printed("sh: 1: not found", 127),
    Printed("\x00\x1b[31m\u2028\x0b - \n\ufffd = : / , [ ]", 0),
    Printed("0 0 0 0 0 0 0\n" * 3 + "- - - - - - -\n" + "a" * 5000, 0),
    Printed("\n\n(dpkg)\nenforce\nprocess\n(end)\n● \n* \nFilename", 0),
]


@pytest.mark.parametrize(("name", "case"), cases())
def test_hostile_output_is_judged_too(name: str, case: dict[str, Any]) -> None:
    check = registry.get(name)
    params = registry.call(name, case.get("params")).params
    whole = {probe: output(case["seen"].get(probe, "")) for probe in check.probes}
    for probe in check.probes:
        answer(check, {one: found for one, found in whole.items() if one != probe}, params)
        text = whole[probe].text
        cuts = [Printed(text[:end], 0) for end in range(0, len(text), max(1, len(text) // 40))]
        words = [Printed(text.replace(word, "x\x00"), 0) for word in set(text.split()[:60])]
        for found in [*HOSTILE, *cuts, *words]:
            answer(check, {**whole, probe: found}, params)


@pytest.mark.parametrize("name", [name for name in registry.names() if registry.get(name).judge is not None])
@pytest.mark.parametrize("found", HOSTILE[:3], ids=["nothing", "failed", "missing"])
def test_no_guest_passes_whose_probes_print_nothing(name: str, found: Printed) -> None:
    check = registry.get(name)
    params = {"huge-pages": {"transparent": "never"}, "hostname": {"name": "localhost"}}.get(name)
    said = answer(check, dict.fromkeys(check.probes, found), registry.call(name, params).params)
    assert "not checkable" in said or "problems" in said
    assert "not checkable" in answer(check, {}, registry.call(name, params).params)
