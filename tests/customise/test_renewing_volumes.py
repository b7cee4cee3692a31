"""New identifiers of LVM, RAID and LUKS on real disks: what the volumes' own programs report in
another appliance."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from imagebuild import guest
from imagebuild.customise import registry
from imagebuild.customise.runner import apply_one
from imagebuild.errors import GuestError
from imagebuild.guest import block, luks
from imagebuild.guest.calls import Translated
from imagebuild.guest.encryption import Key
from tests.appliance import appliance, started
from tests.volumes import encrypt, partition, shell

pytestmark = pytest.mark.guestfs
KEYS = [Key("/dev/vda2", "rootpass"), Key("all", "datapass")]
CONTENT = b"what is on the volume\n"
PLACES = {"/": "/dev/fedora/root", "/boot": "LABEL=boot", "/home": "/dev/data/home", "/srv": "/dev/mapper/luks-{luks1}"}


def identifiers(g: Any) -> dict[str, str]:
    """The identifiers as reported by the volumes' own programs."""
    found: dict[str, str] = {}
    for name, device in (("array", "/dev/sda1"), ("array at the end", "/dev/sda5")):
        (found[name],) = re.findall(r" UUID=(\S+)", shell(g, f"mdadm --examine --brief {device}"))
    for version, device in ((2, "/dev/sda2"), (1, "/dev/sda3")):
        found[f"luks{version}"] = shell(g, f"cryptsetup luksUUID {device}").strip()
    for line in shell(g, "lvm lvs --noheadings -o vg_name,vg_uuid,lv_name,lv_uuid").splitlines():
        group, group_id, name, value = line.split()
        found |= {group: group_id, f"{group}/{name}": value}
    for line in shell(g, "lvm pvs --noheadings -o pv_name,pv_uuid").splitlines():
        name, value = line.split()
        found["pv in luks" if "mapper" in name else name] = value
    return found


def actual(g: Any, device: str) -> str:
    if device.startswith("LABEL="):
        return str(g.findfs_label(device.removeprefix("LABEL=")))
    return "/dev/mapper/two" if "luks1" in device else device


def texts(old: dict[str, str]) -> dict[str, str]:
    def plain(name: str) -> str:
        return old[name].replace("-", "").replace(":", "")

    luks1, luks2, array = old["luks1"], old["luks2"], old["array"]
    return {
        "/etc/fstab": f"/dev/mapper/fedora-root / xfs defaults 0 0\n/dev/disk/by-id/md-uuid-{array} none swap "
        "noauto 0 0\n"
        "LABEL=boot /boot ext4 defaults 0 0\n/dev/mapper/data-home /home ext4 defaults 0 0\n"
        f"/dev/mapper/luks-{luks1} /srv ext4 defaults 0 0\n",
        "/etc/crypttab": f"luks-{luks2} UUID={luks2} none discard\nluks-{luks1} UUID={luks1} /etc/key\n",
        "/etc/mdadm.conf": f"ARRAY /dev/md/boot0 level=raid1 num-devices=2 UUID={array}\n",
        "/etc/lvm/devices/system.devices": f"IDTYPE=devname IDNAME=/dev/vda4 PVID={plain('/dev/sda4')} PART=4\n",
        "/etc/lvm/backup/data": f'data {{\n\tid = "{old["data"]}"\n\thome {{\n\t\tid = "{old["data/home"]}"\n',
        "/etc/default/grub": (
            f'GRUB_CMDLINE_LINUX="rd.luks.uuid=luks-{luks2} rd.md.uuid={array} rd.lvm.lv=fedora/root"\n'
        ),
        "/boot/grub2/grub.cfg": f"cryptomount -u {plain('luks2')}\nset root='mduuid/{plain('array')}'\n"
        f"search --hint='lvmid/{old['data']}/{old['data/home']}'\n",
        "/etc/udev/rules.d/90-home.rules": f"by-id/dm-uuid-LVM-{plain('data')}{plain('data/home')}\n",
    }


@pytest.fixture
def disks(tmp_path: Path) -> tuple[list[Path], dict[str, str]]:
    """The disks, and their identifiers."""
    with appliance(tmp_path, 640 << 20, 192 << 20) as (g, paths):
        partition(g, "/dev/sda", (64, 400, 48, 64, 32))
        partition(g, "/dev/sdb", (64, 64, 32))
        for number, name, metadata, members in (
            (127, "boot0", "1.2", "/dev/sda1 /dev/sdb1"),
            (126, "other", "1.0", "/dev/sda5 /dev/sdb3"),
        ):
            # Creating an array makes udev inspect the whole disk again, and its partitions disappear for a moment.
            kind = (
                f"--name={name} --metadata={metadata} --level=1 --raid-devices=2 --bitmap=internal --assume-clean --run"
            )
            shell(g, f"udevadm settle; mdadm --create /dev/md{number} {kind} {members} 2>&1; udevadm settle")
        encrypt(g, "/dev/sda2", "rootpass", 2)
        g.cryptsetup_open("/dev/sda2", "rootpass", "one")
        encrypt(g, "/dev/sda3", "datapass", 1)
        g.cryptsetup_open("/dev/sda3", "datapass", "two")
        g.pvcreate("/dev/mapper/one")
        g.vgcreate("fedora", ["/dev/mapper/one"])
        g.lvcreate("root", "fedora", 330)
        for device in ("/dev/sda4", "/dev/sdb2"):
            g.pvcreate(device)
        g.vgcreate("data", ["/dev/sda4", "/dev/sdb2"])
        g.lvcreate("home", "data", 80)
        # The ring of texts, 1 MiB, is filled more than once: each change writes a text of 100 KB or more.
        shell(g, 'lvm vgchange -qq data $(seq 120 | sed "s/.*/--addtag t&$(printf x%.0s $(seq 900))/")')
        for number in range(15):
            shell(g, f"lvm vgchange -qq --addtag number{number} data")
        g.mkfs("xfs", "/dev/fedora/root")
        g.mkfs("ext4", "/dev/md127", label="boot")
        g.mkfs("ext4", "/dev/md126", label="other")
        g.mkfs("ext4", "/dev/data/home")
        g.mkfs("ext4", "/dev/mapper/two")
        old = identifiers(g)
        for place, device in PLACES.items():
            if place != "/":
                g.mkdir_p(place)
            g.mount(actual(g, device), place)
            g.write(f"{place}/content", CONTENT)
        for path, text in texts(old).items():
            g.mkdir_p(str(Path(path).parent))
            g.write(path, text)
        g.umount_all()
        g.vg_activate_all(activate=False)
    return paths, old


def test_everything_is_new_and_works_again(disks: tuple[list[Path], dict[str, str]], tmp_path: Path) -> None:
    (first, *more), old = disks
    with guest.opened(first, "raw", accel="tcg", tmpdir=tmp_path, more=more, keys=KEYS) as opened:
        apply_one(opened, registry.call("renew-disk-identifiers"))
        assert opened.mountpoints() == ["/", "/boot", "/home", "/srv"]  # according to the new fstab
        assert opened.device("/home/") == "/dev/mapper/data-home"
        assert [opened.read(f"{place}/content", 4096) for place in PLACES] == [CONTENT] * 4
        written = {path: opened.read(path, 4096).decode() for path in texts(old)}
    with started(tmp_path, [first, *more]) as g:
        assert g.list_dm_devices() == []
        g.cryptsetup_open("/dev/sda2", "rootpass", "one")
        g.cryptsetup_open("/dev/sda3", "datapass", "two")
        g.lvm_scan(activate=True)
        new = identifiers(g)
        assert new.keys() == old.keys()
        assert [name for name in old if new[name] == old[name]] == []
        assert written == texts(new)
        shell(g, "lvm vgck fedora data")
        for word in ("[UU]", "bitmap"):
            assert shell(g, "cat /proc/mdstat").count(word) == 2
        for device in PLACES.values():
            g.mount(actual(g, device), "/")
            assert g.read_file("/content") == CONTENT
            g.umount_all()
        shell(g, "lvm lvrename data home house")  # it still writes its metadata
        g.cryptsetup_close("/dev/mapper/two")
        # Each copy of the LUKS2 header separately, and the old one nowhere.
        shell(g, "dd if=/dev/zero of=/dev/sda2 bs=4096 count=1 conv=notrunc,fsync")
        assert shell(g, "cryptsetup luksUUID /dev/sda2").strip() == new["luks2"]
    metadata = b"".join(
        piece(path, at) for path, places in ((first, (1, 65, 465, 513)), (more[0], (1, 65))) for at in places
    )
    spelled = [(name, value, value.replace("-", ""), value.replace(":", "")) for name, value in old.items()]
    assert [name for name, *values in spelled if any(value.encode() in metadata for value in values)] == []
    assert bytes.fromhex(old["array"].replace(":", "")) not in metadata
    assert metadata.count(bytes.fromhex(new["array"].replace(":", ""))) == 4, "a superblock and a bitmap on each disk"


def piece(disk: Path, at: int) -> bytes:
    """The first 2 MiB of a partition, whose start is in MiB."""
    with disk.open("rb") as content:
        content.seek(at << 20)
        return content.read(2 << 20)


def test_what_cannot_be_renewed_is_reported(tmp_path: Path) -> None:
    with appliance(tmp_path, 128 << 20, 48 << 20) as (g, (first, _)):
        guestfs = Translated(g)
        partition(g, "/dev/sda", (24, 24, 32, 24))
        partition(g, "/dev/sdb", (32,))
        array = "/dev/md90 --metadata=0.90 --level=1 --raid-devices=2 --run"
        shell(g, f"mdadm --create {array} /dev/sda1 /dev/sda2 2>&1 && udevadm settle")
        with pytest.raises(GuestError, match="the RAID superblock of /dev/sda1 is not of version 1"):
            block.identifiers(guestfs, ["volumes"])
        assert block.identifiers(guestfs, ["file systems"]) == []
        g.md_stop("/dev/md90")
        shell(g, "mdadm --zero-superblock /dev/sda1 /dev/sda2")
        encrypt(g, "/dev/sda4", "pass", 2)
        before = g.luks_uuid("/dev/sda4")
        g.pwrite_device("/dev/sda4", b"\0" * 512, 16384)
        with pytest.raises(GuestError, match="the LUKS header of /dev/sda4 is damaged"):
            luks.renew(guestfs, "/dev/sda4", "5b2844d4-1449-4f8b-95ae-38a06d1bd955")
        assert g.pread_device("/dev/sda4", 36, 168) == before.encode()
        for device in ("/dev/sda3", "/dev/sdb1"):
            g.pvcreate(device)
        g.vgcreate("data", ["/dev/sda3", "/dev/sdb1"])
    with (
        started(tmp_path, [first]) as g,
        pytest.raises(GuestError, match=r"the disk of the LVM physical volume data/pv\d is missing"),
    ):
        block.identifiers(Translated(g), ["volumes"])
