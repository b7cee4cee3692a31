"""Inventories of real disks: two copies of one LVM guest in a single appliance, and the command."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from imagebuild.cli.main import cli
from imagebuild.contents.inventory import Inventory, PackageRecord
from imagebuild.customise.contents import guests
from imagebuild.customise.contents.collect import collect
from imagebuild.guest import GuestDisk
from imagebuild.guest.session import Session
from tests.appliance import appliance, started

pytestmark = pytest.mark.guestfs
MIB = 1 << 20


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A guest with LVM, and a changed copy of it, with the same UUIDs and names."""
    folder = tmp_path_factory.mktemp("copies")
    with appliance(folder, 300 * MIB) as (g, (disk,)):
        g.part_init("/dev/sda", "gpt")
        g.part_add("/dev/sda", "p", 2048, 2048 * 40 - 1)
        g.part_add("/dev/sda", "p", 2048 * 40, -2048)
        g.part_set_name("/dev/sda", 1, "boot")
        g.mkfs("ext4", "/dev/sda1")
        g.pvcreate("/dev/sda2")
        g.vgcreate("vg0", ["/dev/sda2"])
        g.lvcreate("root", "vg0", 150)
        g.mkfs("ext4", "/dev/vg0/root", label="root")
        g.mount("/dev/vg0/root", "/")
        for path, text in {
            "/etc/fstab": "/dev/mapper/vg0-root / ext4 defaults 0 1\nPARTLABEL=boot /boot ext4 defaults 0 2\n",
            "/etc/os-release": 'ID=debian\nPRETTY_NAME="A Debian"\n',
            "/etc/passwd": "root:x:0:0::/root:/bin/sh\n",
            "/boot/unused": "",
            "/var/lib/dpkg/status": "Package: a\nStatus: install ok installed\nVersion: 1\n",
            "/var/lib/dpkg/info/a.list": "/etc/fstab\n/etc/passwd\n",
            "/usr/share/doc/a/copyright": "Format: 1.0\nLicense: Expat\n",
            "/srv/a  b\nc": "abc",
        }.items():
            g.mkdir_p(str(Path(path).parent))
            g.write(path, text)
    changed = folder / "changed.raw"
    shutil.copy(disk, changed)
    with started(folder, [changed]) as g:
        g.mount("/dev/vg0/root", "/")
        g.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\neve:x:1:1::/:/bin/sh\n")
        g.write("/capable", "")
        g.cap_set_file("/capable", "cap_net_raw=ep")
    return disk, changed


def test_copies_of_one_guest_in_one_launch(
    copies: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launches = []
    launch = Session.launch
    monkeypatch.setattr(Session, "launch", lambda self: (launches.append(self.disks), launch(self)))
    found: list[Inventory] = []
    read: list[Inventory] = []

    def use(disk: GuestDisk) -> None:
        found.append(collect(disk))
        read.append(collect(disk, all_digests=True))

    guests.each([[one] for one in copies], "raw", use, accel="tcg", tmpdir=tmp_path)
    assert launches == [copies]
    assert [[account.name for account in one.accounts] for one in found] == [["root"], ["eve", "root"]]
    assert [[file.path for file in one.privileged] for one in found] == [[], ["/capable"]]
    for one in read:
        contents = {file.path: file.sha256 for file in one.files if file.kind == "f"}
        assert contents["/srv/a  b\nc"] == hashlib.sha256(b"abc").hexdigest()
        assert "" not in contents.values()
    assert read[0] != read[1]
    for one in found:
        assert one.installed == (PackageRecord("a", "1", "", "a", "1", licences=("Expat",)),)
        digests = {file.path: file.sha256 for file in one.unowned or ()}
        assert digests["/srv/a  b\nc"] == hashlib.sha256(b"abc").hexdigest()
        assert not {"/etc/fstab", "/var/lib/dpkg/status"} & digests.keys()
        (disk,), (volume,) = one.disks, one.volumes
        assert (disk.size, disk.table) == (300 * MIB, "gpt")
        assert [(area.start, area.label, area.mountpoint) for area in disk.areas] == [
            (MIB, "boot", "/boot"),
            (40 * MIB, "primary", ""),
        ]
        assert (volume.name, volume.mountpoint, volume.filesystem_label) == ("vg0-root", "/", "root")
        assert volume.used
        assert volume.capacity


def test_the_command(copies: tuple[Path, Path], tmp_path: Path) -> None:
    before = [one.stat() for one in copies]
    words = ["diff", *map(str, copies), "--json", "--store", str(tmp_path / "store"), "--fail-on", "new-setuid-file"]
    ran = CliRunner().invoke(cli, words)
    assert ran.exit_code == 1, ran.output
    found = json.loads(ran.stdout)
    assert [one["name"] for one in found["accounts"]["added"]] == ["eve"]
    assert [one["gate"] for one in found["gates"]] == ["new-setuid-file"]
    assert [(one.st_mtime_ns, one.st_size) for one in before] == [
        (one.stat().st_mtime_ns, one.stat().st_size) for one in copies
    ]
