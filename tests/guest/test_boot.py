"""Partitions that a guest may boot from, on a real disk: mounted only temporarily, and nothing is
left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild import guest
from imagebuild.customise import registry
from imagebuild.customise.runner import apply_one
from tests.appliance import appliance
from tests.volumes import partition

pytestmark = pytest.mark.guestfs
XBOOTLDR = "bc13c2ff-59e6-4262-a352-b275fd6f7172"
ID = "4fb1a1c2d3e4f5061728394a5b6c7d8e"


def test_what_fstab_does_not_name(tmp_path: Path) -> None:
    with appliance(tmp_path, 400 << 20) as (g, (disk,)):
        partition(g, "/dev/sda", (64, 40, 64, 64, 64))
        g.part_set_gpt_type("/dev/sda", 3, XBOOTLDR)
        for number, fstype in enumerate(("ext4", "vfat", "ext4", "ext4", "ext4"), start=1):
            g.mkfs(fstype, f"/dev/sda{number}")
        files = {
            "/dev/sda1": {
                "/etc/os-release": "ID=debian\n",
                "/etc/machine-id": f"{ID}\n",
                "/etc/kernel/cmdline": "quiet\n",
            },
            "/dev/sda2": {
                f"/loader/entries/{ID}-1.conf": f"linux /{ID}/1/linux\noptions quiet\n",
                f"/{ID}/1/linux": "kernel\n",
            },
            "/dev/sda3": {"/loader/entries/x.conf": "linux /vmlinuz\noptions quiet\n"},
            "/dev/sda4": {"/grub/grub.cfg": "linux /vmlinuz quiet\n"},
            "/dev/sda5": {"/data/grub.cfg": "linux /vmlinuz quiet\n"},
        }
        for device, texts in files.items():
            g.mount(device, "/")
            for path, text in texts.items():
                g.mkdir_p(str(Path(path).parent))
                g.write(path, text)
            g.umount_all()
    with guest.opened(disk, "raw", accel="tcg", tmpdir=tmp_path) as opened:
        top = [entry.name for entry in opened.listdir("/")]
        with opened.boot_partitions() as places:
            assert sorted(places.values()) == ["/dev/sda2", "/dev/sda3", "/dev/sda4"]
        call = registry.call("set-kernel-arguments", {"add": ["nosmt"], "remove": ["quiet"]})
        changed = [change.path for change in apply_one(opened, call).changes]
        assert sorted(changed) == [
            f"/dev/sda2:/loader/entries/{ID}-1.conf", "/dev/sda3:/loader/entries/x.conf", "/dev/sda4:/grub/grub.cfg",
            "/etc/kernel/cmdline"
        ]  # fmt: skip
        assert not apply_one(opened, call).changes
        apply_one(opened, registry.call("reset-machine-id"))
        assert not apply_one(opened, registry.call("reset-machine-id")).changes
        assert opened.mountpoints() == ["/"]
        assert [entry.name for entry in opened.listdir("/")] == top, "nothing is left of where they were mounted"
        with opened.boot_partitions() as places:
            (esp,) = [place for place, device in places.items() if device == "/dev/sda2"]
            entry = opened.read(f"{esp}/loader/entries/debian-1.conf", 4096)
            assert entry == b"linux /debian/1/linux\noptions nosmt\n"
            assert opened.read(f"{esp}/debian/1/linux", 4096) == b"kernel\n"
