"""Several disks, arrays, volume groups, subvolumes and UEFI: installed, booted, and checked in the
guest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagebuild.host import accelerator

from .conftest import KICKSTART_HEAD, PASSWORD, Project, end_private_daemon
from .guest_console import logged_in

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.vm, pytest.mark.timeout(2400), pytest.mark.usefixtures("nothing_left")]

TEMPLATE = (
    KICKSTART_HEAD
    + """\
btrfs-progs
cryptsetup-initramfs
dbus
{{ imagebuild.grub(machine.firmware) -}}
initramfs-tools
linux-image-cloud-amd64
lvm2
mdadm
systemd-sysv
thin-provisioning-tools
udev
xfsprogs
%end
{{ imagebuild.success(nonce) }}
"""
)
LAYERS = """\
clearpart --all --initlabel
part raid.1 --size=300 --ondisk=vda
part raid.2 --size=300 --ondisk=vdb
part pv.1 --size=600 --grow --ondisk=vda
part pv.2 --size=600 --grow --ondisk=disk/by-id/virtio-target2
part btrfs.1 --size=300 --ondisk=vda
part btrfs.2 --size=300 --ondisk=vdb
raid /boot --level=1 --device=boot --fstype=ext4 --label=boot raid.1 raid.2
volgroup system pv.1 pv.2
logvol / --vgname=system --name=root --size=1000 --grow --fstype=xfs --label=root
logvol swap --vgname=system --name=swap --size=64
logvol /var/log --vgname=system --name=the-logs --percent=5 --fstype=ext4
btrfs none --label=pool --data=single --metadata=raid1 btrfs.1 btrfs.2
btrfs /srv --subvol --name=srv LABEL=pool
btrfs /home --subvol --name=home pool"""
RENEWED = """\
zerombr
clearpart --all --initlabel --disklabel=gpt
part /boot/efi --fstype=efi --size=64 --ondisk=vda
part /boot --size=300 --ondisk=vda --fstype=ext4
part raid.1 --size=1000 --grow --ondisk=vda
part raid.2 --size=1000 --grow --ondisk=vdb
raid pv.1 --level=1 --device=storage raid.1 raid.2
volgroup system pv.1
logvol / --vgname=system --name=root --size=1000 --grow --fstype=xfs"""
LAYERS_ASKED = {
    "findmnt -n -o SOURCE,FSTYPE,LABEL /": "/dev/mapper/system-root xfs root",
    "findmnt -n -o FSTYPE,LABEL /boot": "ext4 boot",
    "findmnt -n -o SOURCE,FSTYPE /var/log": "/dev/mapper/system-the--logs ext4",
    "findmnt -n -o FSTYPE,FSROOT /srv": "btrfs /srv",
    "findmnt -n -o FSTYPE,FSROOT /home": "btrfs /home",
    "lvs --noheadings -o lv_name --sort lv_name | tr -d ' '": "root\nswap\nthe-logs",
    "pvs --noheadings -o pv_name,vg_name | sort | tr -s ' '": "/dev/vda3 system\n /dev/vdb3 system",
    "swapon --show=TYPE,SIZE --noheadings": "partition 64M",
    "cat /sys/block/$(basename $(readlink -f /dev/md/boot))/md/level": "raid1",
    "mdadm --detail /dev/md/boot | grep -cE 'active sync +/dev/vd[ab]1'": "2",
    "grep -c '\\[UU\\]' /proc/mdstat": "1",
    "btrfs subvolume list /srv | sed 's/.* path //' | sort": "home\nsrv",
    "btrfs filesystem show pool | grep -c devid": "2",
    "for disk in vda vdb; do dd if=/dev/$disk bs=512 count=1 status=none | grep -ac GRUB; done": "1\n1",
    "systemctl is-system-running --wait; systemctl --failed --no-legend --plain": "running",
}
LINT = "lint: {ignore: {swap: it is tested, several-root-file-systems: they are tested}}\n"
DEBIAN_12 = (
    "os: {family: debian, version: 13, codename: trixie}",
    "os: {family: debian, version: 12, codename: bookworm}",
)


def build(project: Project, name: str, meanwhile: Callable[[], None] = lambda: None) -> tuple[Path, dict[str, Any]]:
    """Build; ``meanwhile`` is called when the installer unpacks."""
    process = project.start("build", name, "--json")
    assert process.stdout is not None
    for line in process.stdout:
        if '"install"' in line and "unpack" in line:
            meanwhile()
            break
    ended = project.finish(process)
    assert ended.code == 0, f"{ended.events[-3:]} {ended.stderr}"
    image = project.folder / str(ended.last("artifact")["image"])
    return image, json.loads((image.parent / "manifest.json").read_text())


def test_raid_lvm_and_btrfs_on_two_disks(project: Project, variant: Callable[..., str]) -> None:
    """libvirt's daemon ends during the installation: another is started, and the installation
    continues.
    """
    project.write("kickstart/layers.ks.j2", TEMPLATE.replace("STORAGE", LAYERS))
    name = variant(
        ("os: ", LINT + "os: "),
        (
            "disk: {size: 2GiB}",
            "disk: {size: 2GiB}\nextra_disks: [{size: 1536MiB}]\nkickstart: {template: layers.ks.j2}",
        ),
        ("packages: [lrzsz, net-tools, qemu-guest-agent, screen, tree, vim, wget]\n", ""),
    )
    image, manifest = build(project, name, end_private_daemon)
    (extra,) = manifest["extra_images"]
    second = image.with_name(extra["file"])
    trimmed = [one for one in manifest["operations"] if one["name"] == "trim-free-space"]
    assert {change["path"] for change in trimmed[0]["changes"]} <= {"/", "/boot", "/home", "/srv", "/var/log"}
    accel = accelerator.verdict(project.store / "host.json").accelerator
    with logged_in(image, project.folder / "layers.qcow2", accel, PASSWORD, more=[second]) as console:
        console.run("systemctl is-system-running --wait", 300)
        answers = {command: console.run(command) for command in LAYERS_ASKED}
    assert answers == LAYERS_ASKED


def test_debian_12_boots_with_uefi_and_renewed_identifiers(project: Project, variant: Callable[..., str]) -> None:
    """The shipped template on another release, its root on LVM on an array, and every identifier
    renewed after the installation.
    """
    shipped = (ROOT / "kickstart/debian.ks.j2").read_text()
    macro = "{{ imagebuild.disk(machine.firmware) }}"
    assert macro in shipped
    project.write("kickstart/renewed.ks.j2", shipped.replace(macro, RENEWED))
    name = variant(
        ("os: {family", LINT + "os: {family"),
        DEBIAN_12,
        (
            "disk: {size: 2GiB}",
            (
                "disk: {size: 2GiB}\nextra_disks: [{size: 1792MiB}]\nmachine: {firmware: uefi}\nkickstart: "
                "{template: renewed.ks.j2}"
            ),
        ),
        ("packages: [", "packages: [lvm2, mdadm, xfsprogs, "),
        ("operations:\n", "operations:\n  - renew-disk-identifiers\n"),
    )
    image, manifest = build(project, name)
    assert "run: sfdisk" in (image.parent / "installer.log").read_text()
    second = image.with_name(manifest["extra_images"][0]["file"])
    (renewed,) = [one for one in manifest["operations"] if one["name"] == "renew-disk-identifiers"]
    new = {what[0]: what[-1] for what in (change["what"].split() for change in renewed["changes"]) if "is" in what}
    assert new.keys() >= {"raid", "pv", "vg", "lv", "xfs", "ext4", "vfat"}
    accel = accelerator.verdict(project.store / "host.json").accelerator
    with logged_in(image, project.folder / "uefi.qcow2", accel, PASSWORD, more=[second], firmware="uefi") as console:
        running = "systemctl is-system-running --wait; systemctl --failed --no-legend --plain"
        assert console.run(running, 300) == "running"
        assert console.run("cat /etc/debian_version").startswith("12")
        assert console.run("ls -d /sys/firmware/efi") == "/sys/firmware/efi"
        assert console.run("findmnt -n -o FSTYPE,UUID /boot/efi").split() == ["vfat", new["vfat"]]
        assert console.run("ls /sys/class/net").split() == ["eth0", "lo"]
        assert "inet 10.0.2." in console.run(
            "until ip -4 -o addr show dev eth0 scope global | grep inet; do sleep 1; done"
        )
        assert console.run("findmnt -n -o SOURCE,UUID /") == f"/dev/mapper/system-root {new['xfs']}"
        assert console.run("vgs --noheadings -o vg_uuid,pv_uuid").split() == [new["vg"], new["pv"]]
        assert console.run("lvs --noheadings -o lv_uuid").strip() == new["lv"]
        array = console.run("mdadm --detail --brief /dev/md/storage").rpartition("UUID=")[2]
        assert array.replace(":", "") == new["raid"].replace("-", "")
        assert f"UUID={array}" in console.run("cat /etc/mdadm/mdadm.conf")
        assert console.run("grep -c '\\[UU\\]' /proc/mdstat") == "1"


@pytest.mark.slow
@pytest.mark.parametrize("release", ["12", "13"])
def test_secure_boot(project: Project, variant: Callable[..., str], release: str) -> None:
    firmware = ("disk: {size: 2GiB}", "disk: {size: 2GiB}\nmachine: {firmware: uefi-secure}")
    name = variant(*([DEBIAN_12] if release == "12" else []), firmware)
    image, _ = build(project, name)
    accel = accelerator.verdict(project.store / "host.json").accelerator
    with logged_in(
        image, project.folder / "secure.qcow2", accel, PASSWORD, firmware="uefi-secure", seconds=900
    ) as console:
        state = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
        assert console.run(f"od -An -tu1 -j4 {state}").strip() == "1"
        assert console.run("systemctl is-system-running --wait", 300) == "running"
