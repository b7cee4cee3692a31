"""What virt-sysprep's default run leaves in a guest, and what an audit reports about it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from imagebuild import scrub as scrubbing
from imagebuild.scrub import recognised
from tests.appliance import appliance
from tests.operations import families
from tests.operations.memory import Node, with_folders
from tests.operations.real import archive

pytestmark = pytest.mark.guestfs

INSPECTED = {
    "/etc/fstab": Node("file", 0o644, b"/dev/sda / ext4 defaults 0 1\n"),
    "/etc/os-release": Node("file", 0o644, b'ID=ubuntu\nVERSION_ID="24.04"\n'),
    "/bin": Node("symlink", 0o777, b"usr/bin"),
}
"""Without these files libguestfs's inspection finds no system in the folders."""
LEFT = {
    "remove-app-store-state": "/var/lib/snapd/device/private-keys-v1/key",
    "remove-installer-traces": "/var/log/installer",
    "remove-network-identity": "/etc/netplan/01-netcfg.yaml",
    "remove-random-seed": "/var/lib/systemd/credential.secret",
    "reset-cloud-init": "/var/lib/cloud/instances/i-1",
    "reset-machine-id": "/etc/machine-id",
}


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    content = tmp_path / "content.tar"
    content.write_bytes(archive(with_folders(families.UBUNTU.tree() | INSPECTED)))
    with appliance(tmp_path, 128 << 20) as (g, (disk,)):
        g.mkfs("ext4", "/dev/sda")
        g.mount("/dev/sda", "/")
        g.tar_in(str(content), "/")
    return disk


def audited(disk: Path) -> dict[str, list[str]]:
    result = scrubbing.audit(recognised([disk]), accel="tcg")
    return {one.name: [change.path for change in one.changes] for one in result.operations if one.changes}


def test_audit_reports_what_virt_sysprep_left(guest: Path, tmp_path: Path) -> None:
    environment = {
        "LIBGUESTFS_BACKEND": "direct",
        "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg",
        "PATH": "/usr/bin:/bin",
        "TMPDIR": str(tmp_path),
    }
    subprocess.run(
        ["virt-sysprep", "--quiet", "--format", "raw", "-a", guest], check=True, env=environment, timeout=600
    )
    found = audited(guest)
    assert {name: path for name, path in LEFT.items() if path not in found.get(name, ())} == {}
