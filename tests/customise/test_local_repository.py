"""Packages from a folder of the host and from nowhere else, by each family's own package manager in a real root."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild import customise
from imagebuild.customise import registry
from imagebuild.errors import GuestError
from imagebuild.kickstrap.mirror import host_mirror
from imagebuild.recipe import supplies
from imagebuild.recipe.document import Mark
from imagebuild.run import run as run_program
from tests.appliance import appliance

pytestmark = pytest.mark.guestfs

DEBS = {
    "greeter": "Depends: greeting-data\nProvides: says-hello\n",
    "greeting-data": "Multi-Arch: foreign\n",
    "broken": "Depends: no-such-package\n",
}
SPEC = """\
Name: greeter
Version: 1.0
Release: 1
Summary: says hello
License: GPL-2.0-or-later
BuildArch: noarch
Requires: greeting-data
%description
Says hello.
%package -n greeting-data
Summary: the words
%description -n greeting-data
The words.
%install
mkdir -p %{buildroot}/usr/share/greeting
echo hello >%{buildroot}/usr/share/greeting/words
%files
%files -n greeting-data
/usr/share/greeting/words
"""


def real_root(tmp_path: Path, *options: str) -> Path:
    """A raw disk without a partition table, with a Debian of apt and what ``options`` of mmdebstrap add."""
    archive = tmp_path / "root.tar"
    mirror = host_mirror().main
    argv = ["mmdebstrap", "--variant=apt", *options, "trixie", str(archive), *([mirror] if mirror else [])]
    run_program(argv, timeout=900)
    with appliance(tmp_path, 3 << 30) as (g, (disk,)):
        g.mkfs("ext4", "/dev/sda")
        g.mount("/dev/sda", "/")
        g.tar_in(str(archive), "/")
        g.write("/etc/fstab", "/dev/vda / ext4 defaults 0 1\n")
    return disk


class Guest:
    """A disk, and a folder of packages beside it."""

    def __init__(self, disk: Path, repository: Path) -> None:
        self.disk = disk
        self.repository = repository
        self.work = disk.with_name("work")
        self.work.mkdir()

    def install(self, *names: str) -> customise.OperationCall:
        mark = Mark(str(self.repository.with_name("recipe.yaml")), 1, 1)
        call = registry.call("install-packages", {"packages": names, "repository": self.repository.name})
        return supplies.with_paths(call, lambda _: mark)

    def applied(self, *calls: customise.OperationCall) -> list[customise.OperationResult]:
        """What each of ``calls`` did, without a network."""
        done = customise.run(self.disk, "raw", calls, accel="tcg", workdir=self.work, network=False)
        return list(done.operations)


def command(text: str) -> customise.OperationCall:
    return registry.call("run-command", {"command": text})


def changes(result: customise.OperationResult) -> dict[str, str]:
    return {change.path: change.what for change in result.changes}


def test_apt(tmp_path: Path) -> None:
    disk = real_root(tmp_path)
    repository = tmp_path / "debs"
    repository.mkdir()
    for name, fields in DEBS.items():
        control = tmp_path / name / "DEBIAN/control"
        control.parent.mkdir(parents=True)
        control.write_text(
            f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n"
            f"{fields}Description: {name}\n"
        )
        run_program(["dpkg-deb", "--root-owner-group", "--build", tmp_path / name, repository], timeout=60)
    guest = Guest(disk, repository)
    _, done, _, again = guest.applied(
        command("find /var/lib/apt /var/cache/apt /etc/apt -type f | xargs sha256sum >/before"),
        guest.install("greeter"),
        command("sha256sum --quiet --check /before && ! find / -xdev -name '*imagebuild*' | grep ."),
        guest.install("greeter"),
    )
    assert changes(done) == {"package greeter": "installed 1.0", "package greeting-data": "installed 1.0"}
    assert again.status == "nothing to do"
    with pytest.raises(GuestError, match=r"install-packages: apt-get failed in the guest: .*no-such-package"):
        guest.applied(guest.install("broken"))


@pytest.mark.slow
def test_dnf_and_zypper(tmp_path: Path) -> None:
    """Both are packages of Debian's too; a guest without dpkg's status is one of rpm's."""
    (tmp_path / "greeter.spec").write_text(SPEC)
    repository = tmp_path / "repository"
    disk = real_root(
        tmp_path,
        "--include=dnf,zypper,rpm,createrepo-c",
        f"--customize-hook=copy-in {tmp_path}/greeter.spec /root",
        '--customize-hook=chroot "$1" sh -ec \'rpmbuild -bb --define "_topdir /root/rpm" /root/greeter.spec; createrepo_c /root/rpm/RPMS/noarch\'',
        f"--customize-hook=copy-out /root/rpm/RPMS/noarch {tmp_path}",
        '--customize-hook=rm "$1/var/lib/dpkg/status"',
        '--customize-hook=chroot "$1" rpm --initdb',
    )
    (tmp_path / "noarch").rename(repository)
    expected = {"package greeter": "installed 1.0-1", "package greeting-data": "installed 1.0-1"}
    guest = Guest(disk, repository)
    zypper, _, dnf, _ = guest.applied(
        guest.install("greeter"),
        command("rpm -e greeter greeting-data; rm /usr/bin/zypper"),
        guest.install("greeter"),
        command("rpm -e greeter; ! find / -xdev -name '*imagebuild*' | grep ."),
    )
    assert changes(zypper) == changes(dnf) == expected
    (repository / "repodata/repomd.xml").unlink()
    with pytest.raises(GuestError, match="has no index of its packages that dnf could read"):
        guest.applied(guest.install("greeter"))
