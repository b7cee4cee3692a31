"""docs/operations.md is up to date with the registry."""

from __future__ import annotations

import re
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


# Options of virt-customize about the program itself or the disk.
OF_THE_PROGRAM = {
    "add", "attach", "attach-format", "color", "colors", "colour", "colours", "connect", "debug-gc", "domain",
    "dry-run", "dryrun",
    "echo-keys", "format", "help", "key", "keys-from-stdin", "memsize", "network", "no-network", "quiet", "smp",
    "verbose", "version",
    "wrap",
}  # fmt: skip


def test_the_counterpart_of_a_virt_customize_option_is_an_operation_or_words() -> None:
    assert list(manual.CUSTOMIZE) == sorted(manual.CUSTOMIZE)
    for option, ours in manual.CUSTOMIZE.items():
        named = set(re.findall(r"`([a-z-]+)`", ours))
        assert named <= set(registry.names()), option
        assert ours.startswith(("`", "not yet", "no log", "a recipe")), option


@pytest.mark.skipif(shutil.which("virt-customize") is None, reason="virt-customize is not installed")
def test_every_option_of_the_installed_virt_customize_has_a_row() -> None:
    output = subprocess.run(["virt-customize", "--long-options"], check=True, capture_output=True, text=True).stdout
    options = {line.removeprefix("--") for line in output.split()}
    assert options - OF_THE_PROGRAM - set(manual.CUSTOMIZE) == set()
