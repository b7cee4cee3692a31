"""A disk encrypted with LUKS2, with a thin pool inside, and RAID 5: installed, booted, and checked in the guest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from imagebuild.host import accelerator

from .conftest import PASSWORD, Project
from .guest_console import logged_in
from .test_disks import LINT, TEMPLATE, build

pytestmark = [
    pytest.mark.vm,
    pytest.mark.slow,
    pytest.mark.timeout(2400),
    pytest.mark.usefixtures("nothing_left"),
]

PASSPHRASE = "correct horse battery staple"
# rewritten from the shape of many public kickstarts: they clear only Linux partitions, name no order, and encrypt the
# physical volume
STORAGE = """\
clearpart --linux --drives=vda,vdb
part pv.01 --size=1000 --grow --ondisk=vda --encrypted --passphrase={{ encryption.passphrase }} --pbkdf-time=500
part /boot --size=300 --asprimary --ondisk=vda --fstype=ext4 --mkfsoptions="-m 0"
part raid.1 --size=200 --ondisk=vda
part raid.2 --size=200 --ondisk=vdb
part raid.3 --size=200 --ondisk=vdb
raid /srv --level=RAID5 --device=md5 --chunksize=64 --fstype=xfs raid.1 raid.2 raid.3
volgroup vg0 pv.01
logvol none --vgname=vg0 --name=pool --thinpool --size=400 --grow
logvol / --vgname=vg0 --name=root --size=1400 --fstype=xfs
logvol /var/log --vgname=vg0 --name=logs --thin --poolname=pool --size=300 --fstype=ext3
logvol swap --vgname=vg0 --name=swap --size=64
snapshot vg0/logs --name=fresh --when=post-install"""
ASKED = {
    "findmnt -n -o SOURCE,FSTYPE /": "/dev/mapper/vg0-root xfs",
    "findmnt -n -o FSTYPE /var/log": "ext3",
    "findmnt -n -o SOURCE,FSTYPE /srv": "/dev/md5 xfs",
    "lsblk -n -o TYPE /dev/vda3 | sort -u | tr '\\n' ' '": "crypt lvm part",
    "lvs --noheadings -o lv_name,pool_lv | xargs -L 1 | sort": "fresh pool\nlogs pool\npool\nroot\nswap",
    "cat /sys/block/$(basename $(readlink -f /dev/md5))/md/level": "raid5",
    "cat /sys/block/$(basename $(readlink -f /dev/md5))/md/degraded": "0",
    "cryptsetup luksDump /dev/vda3 | grep -cE 'Version: +2|PBKDF: +argon2id|Memory: +65536'": "3",
    "swapon --show=TYPE,SIZE --noheadings": "partition 64M",
    "tune2fs -l /dev/vda1 | grep 'Reserved block count'": "Reserved block count:     0",
    "systemctl is-system-running --wait; systemctl --failed --no-legend --plain": "running",
}


def test_an_encrypted_thin_pool_and_raid_5(project: Project, variant: Callable[..., str]) -> None:
    project.write("kickstart/encrypted.ks.j2", TEMPLATE.replace("STORAGE", STORAGE))
    project.write("recipes/passphrase", PASSPHRASE)
    name = variant(
        ("os: ", LINT + "encryption: {passphrase: {file: passphrase}}\nos: "),
        (
            "disk: {size: 2GiB}",
            "disk: {size: 3GiB}\nextra_disks: [{size: 512MiB}]\nkickstart: {template: encrypted.ks.j2}",
        ),
        ("packages: [lrzsz, net-tools, qemu-guest-agent, screen, tree, vim, wget]\n", ""),
    )
    image, manifest = build(project, name)
    second = image.with_name(manifest["extra_images"][0]["file"])
    assert not any(PASSPHRASE.encode() in path.read_bytes() for path in text_files(project))
    accel = accelerator.verdict(project.store / "host.json").accelerator
    overlay = project.folder / "encrypted.qcow2"
    with logged_in(image, overlay, accel, PASSWORD, more=[second], passphrase=PASSPHRASE) as console:
        console.run("systemctl is-system-running --wait", 300)
        answers = {command: console.run(command) for command in ASKED}
    assert answers == ASKED


def text_files(project: Project) -> list[Path]:
    """What is kept of a build, but for disks and the secret itself."""
    every = [path for folder in (project.folder, project.store) for path in folder.rglob("*") if path.is_file()]
    return [path for path in every if path.stat().st_size < 16 << 20 and path.name != "passphrase"]
