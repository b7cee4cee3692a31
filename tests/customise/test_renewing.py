"""New identifiers on a real disk: GPT, an EFI partition, ext4, xfs, btrfs and swap, mounted again
according to the new fstab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagebuild import guest
from imagebuild.customise import registry
from imagebuild.customise.runner import apply_one
from tests.appliance import appliance

pytestmark = pytest.mark.guestfs
MIB = 2048
"""In sectors."""
_PARTS = {"vfat": 40, "ext4": 64, "xfs": 320, "btrfs": 128, "swap": 16}


def identifiers(g: Any) -> dict[str, str]:
    found = {g.vfs_type(device): g.vfs_uuid(device) for device in g.list_partitions()}
    guids = {f"partition {n}": g.part_get_gpt_guid("/dev/sda", n) for n in range(1, len(_PARTS) + 1)}
    return {**found, **guids, "disk": g.part_get_disk_guid("/dev/sda")}


@pytest.fixture
def layout(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """The disk, and its identifiers."""
    with appliance(tmp_path, 640 << 20) as (g, (disk,)):
        g.part_init("/dev/sda", "gpt")
        start = MIB
        for number, (fstype, size) in enumerate(_PARTS.items(), start=1):
            g.part_add("/dev/sda", "p", start, start + size * MIB - 1)
            start += size * MIB
            device = f"/dev/sda{number}"
            g.mkswap(device) if fstype == "swap" else g.mkfs(fstype, device)
        old = identifiers(g)
        for device, place in (
            ("/dev/sda3", "/"),
            ("/dev/sda2", "/boot"),
            ("/dev/sda1", "/boot/efi"),
            ("/dev/sda4", "/srv"),
        ):
            if place != "/":
                g.mkdir_p(place)
            g.mount(device, place)
        places = {"xfs": "/", "ext4": "/boot", "vfat": "/boot/efi", "btrfs": "/srv", "swap": "none"}
        fstab = "".join(f"UUID={old[fstype]} {place} {fstype} defaults 0 0\n" for fstype, place in places.items())
        for path, text in {
            "/etc/fstab": fstab,
            "/etc/crypttab": f"data PARTUUID={old['partition 4'].lower()} none luks\n",
            "/boot/loader/entries/one.conf": f"options root=UUID={old['xfs']} ro resume=UUID={old['swap']}\n",
            "/boot/efi/EFI/fedora/grub.cfg": f"search --fs-uuid --set=dev {old['ext4']}\n",
        }.items():
            g.mkdir_p(str(Path(path).parent))
            g.write(path, text)
    return disk, old


def test_everything_is_new_and_mounts_again(layout: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    disk, old = layout
    with guest.opened(disk, "raw", accel="tcg", tmpdir=tmp_path) as opened:
        apply_one(opened, registry.call("renew-disk-identifiers"))
        assert opened.mountpoints() == ["/", "/boot", "/boot/efi", "/srv"]  # according to the new fstab
        new = identifiers(opened._g)
        texts = b"".join(
            opened.read(path, 4096)
            for path in (
                "/etc/fstab", "/etc/crypttab", "/boot/loader/entries/one.conf", "/boot/efi/EFI/fedora/grub.cfg"
            )
        ).decode()  # fmt: skip
    assert new.keys() == old.keys()
    assert [name for name in old if new[name] == old[name]] == []
    assert [name for name, value in old.items() if value.lower() in texts.lower()] == []
    assert all(new[fstype] in texts for fstype in _PARTS)
