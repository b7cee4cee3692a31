"""A small installed disk: partition table, a root and a boot file system, fstab, dpkg's database."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.host.process import run as run_program
from tests import debian_root as debian_roots
from tests.appliance import appliance

STATUS = "Package: vim\nStatus: install ok installed\nVersion: 2:9.1.1230-2\n"
BOOT, ROOT = 1, 33
"""Where the disk's two file systems begin, in MiB."""
LEFTOVER = b"\x55" * 4096
"""A block of a file that was deleted without being discarded."""


@pytest.fixture(scope="session")
def installed_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw disk; use an overlay or a copy of it."""
    with appliance(tmp_path_factory.mktemp("installed"), 256 << 20) as (g, (disk,)):
        g.part_init("/dev/sda", "gpt")
        g.part_add("/dev/sda", "p", 2048 * BOOT, 2048 * 32)
        g.part_add("/dev/sda", "p", 2048 * ROOT, -2048)
        g.part_set_name("/dev/sda", 1, "boot")
        g.mkfs("ext4", "/dev/sda1")
        g.mkfs("ext4", "/dev/sda2", label="root")
        g.mount("/dev/sda2", "/")
        g.mkdir_p("/boot")
        g.mount("/dev/sda1", "/boot")
        for path, text in {
            "/etc/fstab": "LABEL=root / ext4 defaults 0 1\nPARTLABEL=boot /boot ext4 defaults 0 2\n",
            "/etc/machine-id": "4fb1a1c2d3e4f5061728394a5b6c7d8e\n",
            "/etc/udev/rules.d/70-persistent-net.rules": 'NAME="eth0"\n',
            "/etc/selinux/config": "SELINUX=enforcing\n",
            "/boot/loader/entries/one.conf": "title One\noptions root=LABEL=root ro\n",
            "/var/lib/dpkg/status": STATUS,
            "/var/log/syslog": "booted\n",
        }.items():
            g.mkdir_p(str(Path(path).parent))
            g.write(path, text)
        g.chmod(0o640, "/var/log/syslog")
        g.fill(LEFTOVER[0], 16 << 20, "/leftover")
        g.sync()
        g.rm("/leftover")
    return disk


@pytest.fixture(scope="session")
def debian_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of a small Debian with apt, rpm and the programs that label files for SELinux."""
    folder = tmp_path_factory.mktemp("debian-root")
    hook = '--customize-hook=rm -f "$1/etc/selinux/config"'  # without it SELinux is disabled
    return debian_roots.archive(folder, "--include=rpm,policycoreutils,selinux-policy-default", hook)


@pytest.fixture(scope="session")
def debian_disk(debian_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw disk with that Debian and without a partition table. Use ``debian``."""
    return debian_roots.disk(debian_root, tmp_path_factory.mktemp("debian"))


@pytest.fixture
def debian(debian_disk: Path, tmp_path: Path) -> Path:
    """A copy of that disk."""
    copy = tmp_path / "debian.raw"
    run_program(["cp", "--sparse=always", "--reflink=auto", debian_disk, copy], timeout=120)
    return copy
