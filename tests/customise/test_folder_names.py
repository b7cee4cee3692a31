"""A folder of the host whose name libguestfs does not accept."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild import customise
from imagebuild.errors import HostError


def test_a_folder_that_is_not_utf8_is_reported(tmp_path: Path) -> None:
    folder = tmp_path / "bad\udcff"
    folder.mkdir()
    disk = folder / "disk.raw"
    disk.write_bytes(b"x" * 512)
    with pytest.raises(HostError, match="not valid UTF-8"):
        customise.run(disk, "raw", [], accel="tcg", workdir=folder)
