"""docs/operations.md is what the registry says."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from imagebuild.customise import manual, registry


def test_docs_are_up_to_date(golden: Callable[[Path, str], None]) -> None:
    page = manual.page()
    for name in registry.names():
        assert f"## {name}\n" in page
    golden(Path(__file__).parents[2] / "docs" / "operations.md", page)


def test_every_operation_of_virt_sysprep_has_one_of_ours_or_a_reason() -> None:
    replaced = {theirs for name in registry.names() for theirs in registry.get(name).replaces}
    assert replaced <= set(manual.SYSPREP)
    assert set(manual.SYSPREP) - replaced == set(manual.NOT_AN_OPERATION)


@pytest.mark.skipif(shutil.which("virt-sysprep") is None, reason="virt-sysprep is not installed")
def test_the_list_is_that_of_the_installed_virt_sysprep() -> None:
    listed = subprocess.run(["virt-sysprep", "--list-operations"], check=True, capture_output=True, text=True).stdout
    names = {line.split()[0] for line in listed.splitlines()}
    assert names - set(manual.SYSPREP) == set()
