"""Two root archives of the same packages, by the real mmdebstrap from this host's mirror."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

import pytest

from imagebuild.host.process import run
from imagebuild.kickstrap import payload, release_date
from imagebuild.kickstrap.mirror import host_mirror
from imagebuild.kickstrap.payload import PayloadSpec
from imagebuild.progress import SILENT

CODE = """
import sys
from pathlib import Path
from imagebuild.kickstrap import payload
from imagebuild.kickstrap.mirror import host_mirror
from imagebuild.progress import SILENT
payload.build(payload.PayloadSpec("trixie", host_mirror(), packages=("openssh-server",)), Path(sys.argv[1]), SILENT)
"""
"""Without a date of the mirror: the time of the run takes its place."""


@pytest.mark.guestfs
def test_another_host_makes_the_same_bytes_at_another_time(tmp_path: Path) -> None:
    """As root: the other host is a namespace with another host name."""
    mirror = host_mirror()
    epoch = release_date.newest(mirror, "trixie")
    spec = PayloadSpec("trixie", mirror, packages=("openssh-server",), epoch=epoch)
    first = payload.build(spec, tmp_path / "first", SILENT)
    elsewhere = 'hostname elsewhere && exec "$0" -c "$1" "$2"'
    run(["unshare", "--uts", "sh", "-c", elsewhere, sys.executable, CODE, tmp_path / "second"], timeout=900)
    second = payload.read(tmp_path / "second")
    assert second.packages == first.packages
    assert second.epoch == first.epoch > 0
    with tarfile.open(first.path) as one, tarfile.open(second.path) as other:
        differ = [a.name for a, b in zip(one, other, strict=True) if a.get_info() != b.get_info()]
    assert not differ
    assert second.sha256 == first.sha256
