"""Every case of every operation, in memory and on real file systems; a second run must change
nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.customise import registry
from imagebuild.customise.files import Files
from imagebuild.customise.runner import apply_one
from imagebuild.errors import GuestError
from imagebuild.schema.customised import OperationResult
from tests.operations import cases
from tests.operations.cases import Case
from tests.operations.memory import MemoryDisk
from tests.operations.real import Scratch

CASES = [case for name in sorted(cases.operations_with_cases()) for case in cases.load(name)]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def test_every_operation_has_cases_and_every_case_an_operation() -> None:
    assert cases.operations_with_cases() == set(registry.names())


@pytest.mark.parametrize("name", registry.names())
def test_every_operation_is_documented(name: str) -> None:
    operation = registry.get(name)
    assert len(operation.summary) < 80
    assert operation.description
    for field, info in operation.params.model_fields.items():
        assert info.description, f"parameter {field} of {name} has no description"


@every_case
def test_in_memory(case: Case, tmp_path: Path) -> None:
    disk = MemoryDisk(case.before)
    _check(case, disk, tmp_path)
    assert disk.tree == case.after


@pytest.mark.guestfs
@every_case
def test_on_ext4(case: Case, ext4: Scratch, tmp_path: Path) -> None:
    with ext4.filled(case.before) as disk:
        _check(case, disk, tmp_path)
        assert ext4.tree() == case.after


@pytest.mark.guestfs
@pytest.mark.parametrize("case", [case for case in CASES if case.xfs], ids=str)
def test_on_xfs(case: Case, xfs: Scratch, tmp_path: Path) -> None:
    with xfs.filled(case.before) as disk:
        _check(case, disk, tmp_path)
        assert xfs.tree() == case.after


def _check(case: Case, disk: Files, folder: Path) -> None:
    call = case.call(folder)
    if case.error:
        with pytest.raises(GuestError) as caught:
            apply_one(disk, call)
        assert str(caught.value).startswith(f"{case.operation}: ")
        assert case.error in str(caught.value)
        return
    first = apply_one(disk, call)
    _check_result(case, first)
    second = apply_one(disk, call)
    assert not second.changes, "a second run changes something"
    assert second.status != "changed"


def _check_result(case: Case, result: OperationResult) -> None:
    if case.reason:
        assert (result.status, result.reason) == ("not applicable", case.reason)
    elif case.before != case.after:
        assert result.status == ("incomplete" if case.not_done else "changed")
    reasons = {change.path: change.what for change in result.failed}
    assert reasons.keys() == case.not_done.keys()
    assert [path for path, reason in case.not_done.items() if reason not in reasons[path]] == []
    if case.changes is not None:
        assert {change.path: change.what for change in result.changes} == case.changes
