"""docs/nightly.md matches the model, and its examples are valid."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from imagebuild.nightly.report_files import JUNIT, RESULT, SARIF
from imagebuild.project import schema
from imagebuild.project.load import validate
from imagebuild.project.nightly import NightlyHooks
from imagebuild.recipe.yaml.reader import parse

PAGE = Path(__file__).parents[2] / "docs" / "nightly.md"
TEXT = PAGE.read_text(encoding="utf-8")


def examples() -> list[str]:
    found = re.findall(r"^( *)```yaml\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"(?m)^{indent}", "", text) for indent, text in found]


def test_the_keys_match_the_model(golden: Callable[[Path, str], None]) -> None:
    begin, end = re.search(r"<!-- keys: begin .*? -->\n", TEXT), TEXT.index("<!-- keys: end -->")
    assert begin is not None
    golden(PAGE, TEXT[: begin.end()] + schema.table("nightly") + TEXT[end:])


@pytest.mark.parametrize("text", examples())
def test_its_examples_are_valid(text: str) -> None:
    assert validate(parse(text, "imagebuild.yaml"), Path("imagebuild.yaml")).nightly


def test_it_names_all_reports_and_hooks() -> None:
    for name in (RESULT, JUNIT, SARIF):
        assert f"| `{name}` |" in TEXT
    for name in NightlyHooks.model_fields:
        if name != "timeout":
            assert f"| `{name}` |" in TEXT


def test_every_key_is_described() -> None:
    assert "|  |" not in schema.table("nightly")
