"""A real rpm in the guest: what its packages provide counts as installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild import customise
from imagebuild.customise import registry
from imagebuild.errors import GuestError

pytestmark = [pytest.mark.guestfs, pytest.mark.slow]

SPEC = """\
Name: tiny
Version: 1
Release: 2
Summary: tiny
License: GPL
BuildArch: noarch
Provides: webserver, perl(Tiny) = 1
%description
tiny
%install
mkdir -p %{buildroot}/usr/bin
echo x >%{buildroot}/usr/bin/tiny
%files
/usr/bin/tiny
"""
BUILD = "cd /root && rpmbuild -bb tiny.spec && rpm --install --nodeps rpmbuild/RPMS/noarch/tiny-1-2.noarch.rpm"


def run(disk: Path, workdir: Path, *calls: tuple[str, dict[str, object]]) -> customise.CustomiseResult:
    made = [registry.call(name, params) for name, params in calls]
    return customise.run(disk, "raw", made, accel="tcg", workdir=workdir, network=False)


def test_what_packages_provide_is_there(debian: Path, tmp_path: Path) -> None:
    run(
        debian,
        tmp_path,
        ("write-file", {"path": "/root/tiny.spec", "text": SPEC}),
        ("run-command", {"command": BUILD}),
        # From now on this is an rpm guest.
        ("remove-files", {"paths": ["/var/lib/dpkg"], "must_exist": True}),
    )
    names = ["tiny", "tiny.noarch", "tiny-1-2", "webserver", "perl(Tiny)", "/usr/bin/tiny"]
    result = run(debian, tmp_path, ("install-packages", {"packages": names}))
    assert result.operations[0].status == "nothing to do"
    assert result.packages == {"tiny": "1-2"}
    for name in ("/usr/bin/absent", "tiny-2"):
        with pytest.raises(GuestError, match="install-packages would need the network"):
            run(debian, tmp_path, ("install-packages", {"packages": [name]}))
