"""apt in a real Debian guest: missing packages are installed, and only that needs the network."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild import customise
from imagebuild.customise import registry
from imagebuild.errors import GuestError

pytestmark = [pytest.mark.guestfs, pytest.mark.slow]


def test_install(debian: Path, tmp_path: Path) -> None:
    def install(*names: str, network: bool = True) -> customise.CustomiseResult:
        calls = [registry.call("install-packages", {"packages": names})]
        return customise.run(debian, "raw", calls, accel="tcg", workdir=tmp_path, network=network)

    with pytest.raises(GuestError, match="install-packages would need the network"):
        install("tree", network=False)
    first = install("tree", "cron")
    assert {"package tree", "package cron"} <= {change.path for change in first.operations[0].changes}
    assert {"tree", "cron"} <= first.packages.keys()
    second = install("tree", "cron", "cron-daemon", network=False)
    assert second.operations[0].status == "nothing to do"
    with pytest.raises(GuestError, match=r"install-packages: apt-get failed in the guest: .*no-such-package"):
        install("no-such-package")
    with pytest.raises(GuestError, match=r"apt-get failed in the guest: .*'httpd' has no installation candidate"):
        install("httpd")


def test_what_the_first_boot_will_do(debian: Path, tmp_path: Path) -> None:
    calls = [
        # The part of systemd that decides how a script is started.
        registry.call("write-file", {"path": "/usr/lib/systemd/systemd", "text": "", "mode": "0755"}),
        registry.call("install-packages-at-first-boot", {"packages": ["tree"]}),
        registry.call("run-command", {"command": ["/usr/local/sbin/first-boot-packages"], "network": True}),
    ]
    result = customise.run(debian, "raw", calls, accel="tcg", workdir=tmp_path)
    assert "tree" in result.packages
