"""The build log on a file system without room: it must not hide what the build itself has to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild import log
from imagebuild.errors import HostError


def test_a_full_file_system_hides_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HostError, match="the disk could not be written"), log.to_file(Path("/dev/full")):
        log.logger.warning("does not fit")
        raise HostError("the disk could not be written")
    assert capfd.readouterr().err == ""
