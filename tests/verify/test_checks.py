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
