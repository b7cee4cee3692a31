"""docs/operations.md is what the registry says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from imagebuild.customise import manual, registry


def test_docs_are_up_to_date(golden: Callable[[Path, str], None]) -> None:
    page = manual.page()
    for name in registry.names():
        assert f"## {name}\n" in page
    golden(Path(__file__).parents[2] / "docs" / "operations.md", page)
