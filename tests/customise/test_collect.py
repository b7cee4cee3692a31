"""The inventory of a guest in memory, and the survey's own commands on a folder of this machine."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from imagebuild.contents.inventory import EnabledUnit, FileRecord, GuestAccount, Inventory, SystemRelease
from imagebuild.customise.contents import survey
from imagebuild.customise.contents.collect import collect
from imagebuild.errors import GuestError
from tests.customise.test_rpm_packages import database, header
from tests.operations.memory import MemoryDisk, Node, Tree, with_folders

STATUS = "Package: vim\nStatus: install ok installed\nVersion: 2:9.1\nArchitecture: amd64\n"
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x3e\x00" + bytes(40)
PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1::/usr/sbin:/usr/sbin/nologin
alice:x:1000:1000::/home/alice:/bin/bash
bob:x:1001:1001::/home/bob:/bin/bash
old:$1$aaaaaaaa$bbbb:1002:1002::/home/old:/bin/sh
nonsense
hostile:x:99999999999:0::/:/bin/sh
"""
SHADOW = """\
root:!:20000::::::
alice:$6$salt$verysecrethash:20000::::::
bob::20000::::::
daemon:$6$salt$verysecrethash:20000::::::
"""
FILES = {
    "/etc/passwd": PASSWD,
    "/etc/shadow": SHADOW,
    "/usr/lib/os-release": 'ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian \'13\'"\nVERSION_CODENAME=trixie\nBAD="\n',
    "/var/lib/dpkg/status": STATUS,
    "/root/.ssh/authorized_keys": "ssh-ed25519 AAAA\n",
    "/usr/lib/systemd/system/ssh.socket": "[Socket]\nListenStream=22\n",
    "/etc/systemd/system/ssh.socket.d/port.conf": "[Socket]\nListenStream=\nListenStream = 2222\n#ListenStream=1\n",
    "/usr/lib/systemd/system/getty@.socket": "[Socket]\nListenDatagram=/run/getty\n",
    "/boot/vmlinuz-6.12.1": "kernel",
}
LINKS = {
    "/etc/os-release": "../usr/lib/os-release",
    "/bin": "usr/bin",
    "/usr/bin/sh": "dash",
    "/etc/systemd/system/sockets.target.wants/ssh.socket": "/usr/lib/systemd/system/ssh.socket",
    "/etc/systemd/system/sockets.target.wants/getty@tty1.socket": "/usr/lib/systemd/system/getty@.socket",
    "/etc/systemd/system/sockets.target.wants/gone.socket": "/usr/lib/systemd/system/gone.socket",
}
LSBLK = (
    b'{"blockdevices": ['
    b'{"name":"sdb","kname":"sdb","type":"disk","size":4294967296,"pttype":"gpt"},'
    b'{"name":"sdb1","kname":"sdb1","type":"part","size":"1073741824","parttype":"0fc63daf","partlabel":"r\xff",'
    b'"fstype":"ext4","label":"root","mountpoint":"/sysroot","fsused":"400","fssize":"1000"},'
    b'{"name":"sdb2","kname":"sdb2","type":"part","size":1048576,"parttype":"0fc63daf","fstype":"LVM2_member"},'
    b'{"name":"vg-a","kname":"dm-0","type":"lvm","size":524288,"fstype":"xfs","mountpoint":"/sysroot/srv","fsused":7},'
    b'{"name":"sda","kname":"sda","type":"disk","size":99,"fstype":"ext2","mountpoint":"/"}]}'
)
NUMBERS = (
    b"/sys/class/block/sdb1/start:2048\n/sys/class/block/sdb2/start:3000000\n"
    b"/sys/class/block/sdb1/partition:1\n/sys/class/block/sdb2/partition:2\n"
)
ORDER = b"/sys/block/sda/device/scsi_disk/0:0:1:0 /sys/block/sdb/device/scsi_disk/0:0:0:0\n"


def run_in_a_folder(tree: Tree, script: str, paths: Sequence[str]) -> bytes:
    """What the real programs print of these files of a guest in memory."""
    with tempfile.TemporaryDirectory() as name:
        for path in paths:
            file = Path(name + path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(tree[path].content)
        argv = ["sh", "-c", script, "sh", *(f".{path}" for path in paths)]
        return subprocess.run(argv, cwd=name, capture_output=True, check=True).stdout


class Surveyed(MemoryDisk):
    """A guest in memory whose appliance reports these devices and capabilities."""

    attributes = b""

    def appliance_output(self, script: str, paths: Sequence[str] = ()) -> bytes:
        if paths:
            return run_in_a_folder(self.tree, script, paths)
        assert script == survey.SCRIPT
        records = []
        kinds = {"file": "f", "dir": "d", "symlink": "l", "other": "p"}
        for number, (path, node) in enumerate(self.tree.items()):
            target = os.fsdecode(node.content) if node.kind == "symlink" else ""
            blocks = len(node.content) // 512 + 1
            facts = (
                f"{kinds[node.kind]} {node.mode:o} {node.uid} {node.gid} {len(node.content)} {blocks} 1 2049:{number}"
            )
            records.append(os.fsencode(f"{facts}\0{path[1:]}\0{target}\0"))
        return b"\0".join([ORDER, LSBLK, NUMBERS, self.attributes, b"a" * 64 + b"  etc/passwd", b"", b"".join(records)])


def tree(files: Mapping[str, str] = FILES) -> Tree:
    nodes = {path: Node("file", 0o644, text.encode()) for path, text in files.items()}
    nodes |= {path: Node("symlink", 0o777, target.encode()) for path, target in LINKS.items()}
    return with_folders(nodes | {"/usr/bin/dash": Node("file", 0o755, ELF)})


@pytest.fixture(scope="module")
def inventory() -> Inventory:
    disk = Surveyed(tree())
    disk.attributes = (
        b"# file: usr/bin/dash\nsecurity.capability=0x0100\n\n# file: a\\012b\nsecurity.capability=0x02\n\n"
    )
    return collect(disk)


def test_system_and_packages(inventory: Inventory) -> None:
    assert inventory.system == SystemRelease("debian", "13", "trixie", "Debian '13'", "x86_64")
    assert (inventory.package_format, inventory.packages) == ("dpkg", {"vim": "2:9.1"})
    assert inventory.kernels == ("6.12.1",)


def test_accounts_and_no_hash(inventory: Inventory) -> None:
    assert inventory.accounts == (
        GuestAccount("alice", 1000, 1000, "/home/alice", "/bin/bash", ("password",)),
        GuestAccount("bob", 1001, 1001, "/home/bob", "/bin/bash", ("empty password",)),
        GuestAccount("daemon", 1, 1, "/usr/sbin", "/usr/sbin/nologin", ()),
        GuestAccount("old", 1002, 1002, "/home/old", "/bin/sh", ("password",)),
        GuestAccount("root", 0, 0, "/root", "/bin/bash", ("key",)),
    )
    assert "secrethash" not in repr(inventory)


def test_addresses_of_sockets(inventory: Inventory) -> None:
    assert inventory.listening == (
        EnabledUnit("getty@tty1.socket", ("sockets.target",), ("/run/getty",)),
        EnabledUnit("gone.socket", ("sockets.target",), ()),
        EnabledUnit("ssh.socket", ("sockets.target",), ("2222",)),
    )


def test_files(inventory: Inventory) -> None:
    files = {one.path: one for one in inventory.files}
    assert files["/etc/passwd"].sha256 == "a" * 64
    assert files["/usr/bin/dash"].privileges == ("capabilities",)
    assert files["/bin"] == FileRecord("/bin", "l", 0o777, 0, 0, 0, "usr/bin")
    assert [one.path for one in inventory.files] == sorted(files)


def test_disks(inventory: Inventory) -> None:
    (disk,) = inventory.disks
    assert (disk.size, disk.table) == (4 << 30, "gpt")
    first, second = disk.areas
    assert (first.number, first.start, first.size, first.mountpoint, first.used) == (1, 1 << 20, 1 << 30, "/", 400)
    assert first.label == "r\udcff"
    assert (second.number, second.filesystem, second.used) == (2, "LVM2_member", None)
    (volume,) = inventory.volumes
    assert (volume.name, volume.type, volume.mountpoint, volume.used) == ("vg-a", "lvm", "/srv", 7)
    assert inventory.used == 407


def test_known_packages_are_not_read_again() -> None:
    assert collect(Surveyed(tree()), {"b": "1", "a": "2"}).packages == {"a": "2", "b": "1"}


def test_packages_that_cannot_be_determined_are_unknown() -> None:
    files = {path: text for path, text in FILES.items() if path != "/var/lib/dpkg/status"}
    rpm = Surveyed(tree(files | {"/var/lib/rpm/rpmdb.sqlite": "damaged"}))
    assert collect(rpm).packages is None
    assert collect(rpm, {}).packages is None
    assert collect(rpm, {"bash": "5.2-1"}).packages == {"bash": "5.2-1"}
    assert collect(Surveyed(tree(files))).packages == {}


def test_packages_of_an_rpm_guest() -> None:
    content = database([header("bash", "5.2", "1.el9")])
    nodes = {"/usr/lib/sysimage/rpm/rpmdb.sqlite": Node("file", 0o644, content)}
    assert collect(Surveyed(with_folders(nodes))).packages == {"bash": "5.2-1.el9"}
    nodes["/usr/lib/sysimage/rpm/rpmdb.sqlite-wal"] = Node("file", 0o644, b"not closed")
    assert collect(Surveyed(with_folders(nodes))).packages is None


def test_an_empty_guest() -> None:
    found = collect(Surveyed({}))
    assert found.system == SystemRelease()
    assert (found.accounts, found.units, found.files) == ((), (), ())


def test_hostile_links_lead_nowhere_on_the_host() -> None:
    hostile = tree() | {"/etc/passwd": Node("symlink", 0o777, b"/../../../../etc/passwd")}
    assert collect(Surveyed(hostile)).accounts == ()


@pytest.mark.parametrize("output", [b"", b"a\0b", b"a\0{\0\0\0\0", b"a\0[]\0\0\0\0"])
def test_an_appliance_that_reports_nothing(output: bytes) -> None:
    with pytest.raises(GuestError, match="cannot list the guest's files"):
        survey.parsed(output)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files with every kind of name, as a guest may have them."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    for name in (b"a\nb", b"\xff\xfe", b"-rf", b"etc/open", b"etc/x  y\n", b"etc/closed", b"etc/large"):
        (root / os.fsdecode(name)).write_bytes(b"content")
    (root / "etc/closed").chmod(0o640)
    (root / "etc/large").write_bytes(bytes(300 << 10))
    (root / "s").write_bytes(b"")
    (root / "s").chmod(0o4755)
    (root / "link").symlink_to("/etc/pass\nwd")
    os.link(root / "etc/large", root / "large2")
    os.mkfifo(root / "pipe")
    return root


def test_the_real_commands_and_hostile_names(folder: Path) -> None:
    script = f'set -- "{folder}"; {survey.SCRIPT}'
    output = subprocess.run(["sh", "-c", script], capture_output=True, check=False).stdout
    found = survey.parsed(output)
    files = {one.path: one for one in found.files}
    names = {
        f"/{path.relative_to(folder)}": path.lstat()
        for path in (Path(above) / name for above, folders, names in os.walk(folder) for name in (*folders, *names))
    }
    assert files.keys() == names.keys()
    for path, status in names.items():
        assert files[path].mode == stat.S_IMODE(status.st_mode)
        assert files[path].size == (status.st_size if stat.S_ISREG(status.st_mode) else 0)
    assert files["/link"].target == "/etc/pass\nwd"
    assert files["/pipe"].kind == "p"
    assert files["/s"].privileges == ("setuid",)
    assert {path for path, one in files.items() if one.sha256} == {"/etc/open", "/etc/x  y\n"}
    blocks = [found.blocks.get(path, 0) for path in ("/etc/large", "/large2")]
    assert sorted(map(bool, blocks)) == [False, True], "a file with two names occupies its space once"


def test_the_programs_that_the_survey_needs_are_those_of_the_appliance() -> None:
    assert all(shutil.which(name) for name in ("find", "lsblk", "sha256sum", "xargs", "grep"))
