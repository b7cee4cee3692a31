"""SELinux labels of files that were created offline: by a real setfiles with Debian's policy, on
ext4, xfs and FAT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagebuild.customise import OperationCall, registry
from imagebuild.customise.runner import apply_all
from imagebuild.guest import GuestDisk
from imagebuild.guest.session import Session
from imagebuild.schema.customised import CustomiseResult
from tests.appliance import appliance

pytestmark = pytest.mark.guestfs

FSTAB = """\
/dev/sda / ext4 defaults 0 1
/dev/sdb /srv xfs defaults 0 2
/dev/sdc /boot/efi vfat defaults 0 2
"""
CONFIG = "SELINUX=enforcing\nSELINUXTYPE=default\n"
WRITE = (
    registry.call("write-file", {"path": "/etc/app.conf", "text": "a=1\n"}),
    registry.call("write-file", {"path": "/srv/data", "text": "1\n"}),
    registry.call("write-file", {"path": "/boot/efi/grub.cfg", "text": "\n"}),
)


@pytest.fixture(scope="module")
def guest(debian_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, GuestDisk]]:
    """A guest with SELinux, mounted in an appliance, and the appliance."""
    folder = tmp_path_factory.mktemp("selinux")
    with appliance(folder, 1 << 30, 320 << 20, 40 << 20) as (g, disks):
        for device, fstype, place in (("a", "ext4", "/"), ("b", "xfs", "/srv"), ("c", "vfat", "/boot/efi")):
            g.mkfs(fstype, f"/dev/sd{device}")
            if place != "/":
                g.mkdir_p(place)
            g.mount(f"/dev/sd{device}", place)
            if place == "/":
                g.tar_in(str(debian_root), "/")
        g.write("/etc/fstab", FSTAB)
        g.write("/etc/selinux/config", CONFIG)
        yield g, GuestDisk(Session(lambda: g, disks, "raw"))


def label(g: Any, path: str) -> str:
    found = {one["attrname"]: one["attrval"] for one in g.lgetxattrs(path)}
    return bytes(found.get("security.selinux", b"")).decode().rstrip("\0")


def applied(disk: GuestDisk, *calls: OperationCall) -> CustomiseResult:
    return apply_all(disk, calls, lambda detail, fraction: None)


def test_what_was_made_offline_has_the_label_of_the_policy(guest: tuple[Any, GuestDisk]) -> None:
    g, disk = guest
    first = applied(disk, *WRITE)
    assert [one.name for one in first.operations] == [*["write-file"] * 3, "relabel-selinux"]
    assert label(g, "/etc/app.conf") == "system_u:object_r:etc_t:s0"
    assert label(g, "/srv/data") == "system_u:object_r:var_t:s0"
    assert label(g, "/usr/sbin/setfiles") == "system_u:object_r:setfiles_exec_t:s0"
    assert not g.exists("/.autorelabel")
    assert not g.glob_expand("/.imagebuild*")

    g.lsetxattr(
        "security.selinux", "system_u:object_r:shadow_t:s0", len("system_u:object_r:shadow_t:s0"), "/etc/app.conf"
    )
    again = applied(disk, *WRITE, registry.call("write-file", {"path": "/etc/other.conf", "text": ""}))
    relabelled = again.operations[-1].changes
    assert [(change.path, change.what) for change in relabelled] == [("/", "labelled 2 files")]
    assert label(g, "/etc/app.conf") == "system_u:object_r:etc_t:s0"
    assert [one.changes for one in applied(disk, *WRITE).operations] == [()] * 3
    assert applied(disk, registry.call("relabel-selinux")).operations[0].status == "nothing to do"


def test_a_policy_that_cannot_be_read(guest: tuple[Any, GuestDisk]) -> None:
    g, disk = guest
    contexts = "/etc/selinux/default/contexts/files/file_contexts"
    g.mv(f"{contexts}.bin", f"{contexts}.bin.away")
    g.cp(contexts, f"{contexts}.away")
    try:
        g.write_append(contexts, b"/etc/broken[ -- system_u:object_r:etc_t:s0\n")
        done = applied(disk, registry.call("write-file", {"path": "/etc/third.conf", "text": ""}))
        (change,) = done.operations[-1].changes
        assert change.path == "/.autorelabel"
        assert "setfiles" in change.what
        assert "Invalid argument" in change.what
        assert not g.glob_expand("/.imagebuild*")
    finally:
        g.mv(f"{contexts}.away", contexts)
        g.mv(f"{contexts}.bin.away", f"{contexts}.bin")
        g.rm_f("/.autorelabel")
