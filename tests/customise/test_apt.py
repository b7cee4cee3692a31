"""apt in a real Debian guest: what is missing is installed, and only that needs the network."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild import customise
from imagebuild.customise import registry
from imagebuild.errors import GuestError
from imagebuild.kickstrap.mirror import host_mirror
from imagebuild.run import run as run_program
from tests.appliance import appliance

pytestmark = [pytest.mark.guestfs, pytest.mark.slow]


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    """A raw disk with the smallest Debian that has apt, from the host's mirror; no partition table."""
    archive = tmp_path / "root.tar"
    mirror = host_mirror().main
    argv = ["mmdebstrap", "--variant=apt", "trixie", archive, *([mirror] if mirror else [])]
    run_program(argv, timeout=600)
    with appliance(tmp_path, 2 << 30) as (g, (disk,)):
        g.mkfs("ext4", "/dev/sda")
        g.mount("/dev/sda", "/")
        g.tar_in(str(archive), "/")
        g.write("/etc/fstab", "/dev/vda / ext4 defaults 0 1\n")
    return disk


def test_install(debian: Path, tmp_path: Path) -> None:
    def install(*names: str, network: bool = True) -> customise.CustomiseResult:
        calls = [registry.call("install-packages", {"packages": names})]
        return customise.run(debian, "raw", calls, accel="tcg", workdir=tmp_path, network=network)

    with pytest.raises(GuestError, match="install-packages would have to download something"):
        install("tree", network=False)
    first = install("tree", "cron")
    assert {"package tree", "package cron"} <= {change.path for change in first.operations[0].changes}
    assert {"tree", "cron"} <= first.packages.keys()
    second = install("tree", "cron", network=False)
    assert second.operations[0].status == "nothing to do"
    with pytest.raises(GuestError, match=r"install-packages: apt-get failed in the guest: .*no-such-package"):
        install("no-such-package")
