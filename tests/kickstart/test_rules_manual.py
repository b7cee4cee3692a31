"""docs/lint.md is up to date with the rules."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from imagebuild.kickstart import rules_reference
from imagebuild.kickstart.suppressions import suppressions

PAGE = Path(__file__).parents[2] / "docs" / "lint.md"


def test_the_documented_rules_are_the_existing_ones(golden: Callable[[Path, str], None]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    begin, end = re.search(r"<!-- rules: begin .*? -->\n", page), page.index("<!-- rules: end -->")
    assert begin is not None
    golden(PAGE, page[: begin.end()] + rules_reference.table() + page[end:])


def test_its_examples_of_suppressions_are_suppressions() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [(one.rule, bool(one.reason)) for one in suppressions(page)] == [
        ("swap", True),
        ("post-without-erroronfail", True),
    ]
