"""A project in an empty folder."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.nightly.nightly_site import NightlySite


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NightlySite:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("IMAGEBUILD_CONFIG", raising=False)
    # No machine was made here, so none is left over: no libvirt daemon is asked, which other tests may have started.
    monkeypatch.setattr("imagebuild.build.machines.machines", lambda store: nullcontext())
    return NightlySite(folder)
