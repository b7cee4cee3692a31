from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from farm_site import FarmSite


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[FarmSite]:
    """A farm without TLS, with its scheduler."""
    site = FarmSite(tmp_path / "farm")
    try:
        site.scheduler()
        yield site
    finally:
        site.close()
