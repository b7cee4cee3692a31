"""docs/recipes.md: its table of options and elements, and its machines."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from imagebuild.machine.domain_xml import definition
from imagebuild.recipe.model.machine import Machine
from tests.machine.machines import recipe
from tests.machine.mapping import SAMPLES, rows, table
from tests.machine.test_domain_xml import valid, wanted

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"
SECTION = PAGE.read_text(encoding="utf-8").split("\n## The machine\n")[1].split("\n## ")[0]


def test_the_table_matches_the_program(golden: Callable[[Path, str], None], tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    begin, end = re.search(r"<!-- mapping: begin .*? -->\n", page), page.index("<!-- mapping: end -->")
    assert begin is not None
    golden(PAGE, page[: begin.end()] + table(tmp_path) + page[end:])


def test_every_key_has_an_option_and_an_element(tmp_path: Path) -> None:
    keys = {key.replace("features.*", "features") for key, _ in wanted(Machine, "machine.")}
    keys = {re.sub(r"\b(numa|networks)\.", r"\1[].", key.removesuffix(".*")) for key in keys}
    assert keys == {key for key in SAMPLES if key.startswith("machine.")}
    assert [key for key, options, elements in rows(tmp_path) if not options or not elements] == []


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL), ids=lambda text: text[:60])
def test_its_machines_are_valid_by_libvirts_schema(text: str) -> None:
    assert valid(definition(recipe(text))) == ""
