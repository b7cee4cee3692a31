"""What tests of publishing share: small images, releases of them, hosts of the fleet."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from imagebuild.project.model import Host
from imagebuild.publish import names
from imagebuild.publish.release import Release, ReleaseFile
from imagebuild.publish.state import Published, StoredFile
from tests.publish.fleet import FleetHost

DEFINITION = """\
<domain type="kvm">
  <name>web</name>
  <memory unit="KiB">131072</memory>
  <vcpu placement="static">1</vcpu>
  <os><type arch="x86_64" machine="q35">hvm</type><boot dev="hd"/></os>
  <cpu mode="host-passthrough"/>
  <devices>
    <disk type="file" device="disk">
      <driver name="qemu" type="qcow2"/>
      <source file="/var/lib/libvirt/images/web.qcow2"/>
      <target dev="vda" bus="virtio"/>
    </disk>
    <interface type="user"><model type="virtio"/></interface>
    <serial type="pty"><target port="0"/></serial>
  </devices>
</domain>
"""


def published(version: str, *, disks: int = 1, definition: str = DEFINITION) -> Published:
    """A version as a record has it; its digests are made up."""
    files = []
    for number in range(1, disks + 1):
        digest = hashlib.sha256(f"{version} {number}".encode()).hexdigest()
        disk = "web" if number == 1 else f"web-disk{number}"
        files.append(StoredFile(names.file_name(disk, version, digest), 4096 + number, digest))
    return Published(version, tuple(files), definition)


@pytest.fixture
def make_release(tmp_path: Path) -> Callable[..., Release]:
    """Make a release of the template ``web``: a small qcow2 with random content."""

    def make(version: str, *, mib: int = 3, template: str = "web", verdict: str = "passed") -> Release:
        raw, path = tmp_path / f"{version}.raw", tmp_path / f"{template}-{version}.qcow2"
        # content that differs from version to version, and does not compress
        blocks = (hashlib.shake_256(f"{version} {at}".encode()).digest(1 << 20) for at in range(mib))
        raw.write_bytes(b"".join(blocks) + bytes(1 << 20))
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", raw, path], check=True)
        raw.unlink()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        stored = StoredFile(names.file_name(template, version, digest), path.stat().st_size, digest)
        file = ReleaseFile(path, stored, (mib + 1) << 20)
        return Release(template, version, (file,), DEFINITION, verdict, "f" * 64)

    return make


def entry(host: FleetHost, *, user: str = "root", **more: object) -> Host:
    """The entry of a fleet's host in a project's file."""
    values = {"uri": host.address(user), "identity_file": str(host.identity), "known_hosts_file": str(host.known_hosts)}
    return Host.model_validate({**values, **more})
