"""Every check on guests that pass and guests that fail: what its probes printed, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from imagebuild.verify import registry
from imagebuild.verify.check import NotApplicable, NotCheckable, Output

CASES = Path(__file__).parent / "checks"


def cases() -> list[Any]:
    found = []
    for name in registry.names():
        if registry.get(name).judge is not None:
            for case in yaml.safe_load_all((CASES / f"{name}.yaml").read_text()):
                found.append(pytest.param(name, case, id=f"{name}: {case['case']}"))
    return found


def output(value: str | dict[str, Any]) -> Output:
    return (
        Output(value.rstrip("\n"), 0) if isinstance(value, str) else Output(value["text"].rstrip("\n"), value["status"])
    )


@pytest.mark.parametrize(("name", "case"), cases())
def test_judges(name: str, case: dict[str, Any]) -> None:
    check = registry.get(name)
    seen = {probe: output(case["seen"].get(probe, "")) for probe in check.probes}
    assert set(case["seen"]) <= set(check.probes)
    params = registry.call(name, case.get("params")).params
    assert check.judge is not None
    try:
        problems = list(check.judge(seen, params))
    except NotApplicable as reason:
        assert str(reason) == case["not applicable"]
    except NotCheckable as reason:
        assert str(reason) == case["not checkable"]
    else:
        assert problems == case.get("problems", [])
        assert bool(case.get("passed")) == (not problems)


def test_every_check_has_a_passing_and_a_failing_guest() -> None:
    for name in registry.names():
        if registry.get(name).judge is not None:
            described = list(yaml.safe_load_all((CASES / f"{name}.yaml").read_text()))
            assert any(case.get("passed") for case in described), name
            assert any(case.get("problems") for case in described), name


def test_every_case_file_belongs_to_a_check() -> None:
    assert {path.stem for path in CASES.glob("*.yaml")} <= set(registry.names())
