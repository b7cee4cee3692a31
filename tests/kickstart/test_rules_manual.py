"""docs/lint.md says what the rules say."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from imagebuild.kickstart import rules_reference
from imagebuild.kickstart.suppressions import silences

PAGE = Path(__file__).parents[2] / "docs" / "lint.md"


def test_the_rules_are_those_there_are(golden: Callable[[Path, str], None]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    begin, end = re.search(r"<!-- rules: begin .*? -->\n", page), page.index("<!-- rules: end -->")
    assert begin is not None
    golden(PAGE, page[: begin.end()] + rules_reference.table() + page[end:])


def test_the_silences_it_shows_are_silences() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [(one.rule, bool(one.reason)) for one in silences(page)] == [
        ("swap", True),
        ("post-without-erroronfail", True),
    ]
