"""Guests that were not shut down: journals are replayed by mounting, and a hibernated machine is
left alone."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from imagebuild.errors import GuestError
from imagebuild.guest import GuestDisk, find_root, launch
from imagebuild.guest.calls import Translated
from imagebuild.guest.layout import mount
from tests.appliance import started
from tests.volumes import partition

pytestmark = pytest.mark.guestfs
FSTAB = """/dev/vda1 / ext4 defaults 0 1
/dev/vda2 /srv xfs defaults 0 2
/dev/vda3 none swap defaults 0 0
/swapfile none swap defaults 0 0
"""


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A disk whose machine lost power after its journals had been written, and before anything
    else."""
    disk = tmp_path / "disk0.raw"
    with disk.open("wb") as image:
        image.truncate(448 << 20)
    with pytest.raises(RuntimeError), started(tmp_path, [disk]) as g:
        partition(g, "/dev/sda", (64, 320, 16))
        g.mkfs("ext4", "/dev/sda1")
        g.mkfs("xfs", "/dev/sda2")
        g.mkswap("/dev/sda3")
        g.mount("/dev/sda1", "/")
        g.mkdir_p("/srv")
        g.mkdir_p("/etc")
        g.mount("/dev/sda2", "/srv")
        g.write("/etc/fstab", FSTAB)
        g.write("/srv/content", "committed\n")
        g.fallocate64("/swapfile", 1 << 20)
        g.mkswap_file("/swapfile")
        g.sync()
        os.kill(g.get_pid(), signal.SIGKILL)
        g.ping_daemon()
    return disk


def needs_recovery(g: Any) -> bool:
    return "needs_recovery" in g.tune2fs_l("/dev/sda1")["Filesystem features"]


def test_journals_are_replayed_and_a_hibernated_guest_is_an_error(killed: Path, tmp_path: Path) -> None:
    """One test for both, because each appliance takes time."""
    with launch.started([killed], "raw", accel="tcg", tmpdir=tmp_path) as session:
        assert needs_recovery(session.handle)
        assert session.handle.xfs_repair("/dev/sda2") == 2, "it refuses to repair what a mount would replay"
        session.mount()
        opened = GuestDisk(session)
        assert opened.mountpoints() == ["/", "/srv"]
        assert opened.read("/srv/content", 100) == b"committed\n"
        opened.write("/srv/content", b"new\n")
    with started(tmp_path, [killed]) as g:
        assert not needs_recovery(g)
        assert g.xfs_repair("/dev/sda2") == 0
        guestfs = Translated(g)
        root = find_root(guestfs)
        mount(guestfs, root)
        g.pwrite("/swapfile", b"S1SUSPEND\0", 4086)
        guestfs.umount_all()
        with pytest.raises(GuestError, match="hibernated: /swapfile contains its memory"):
            mount(guestfs, root)
        guestfs.umount_all()
        g.pwrite_device("/dev/sda3", b"S1SUSPEND\0", 4086)
        with pytest.raises(GuestError, match="hibernated: /dev/sda3 contains its memory"):
            find_root(guestfs)
