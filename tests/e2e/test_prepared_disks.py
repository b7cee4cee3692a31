"""%pre writes what the kickstart includes, and partitions a disk: installed, booted, and checked in the guest."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imagebuild.host import accelerator

from .conftest import PASSWORD, Project
from .guest_console import logged_in
from .test_disks import LINT, build
from .test_thin_root import TEMPLATE

pytestmark = [
    pytest.mark.vm,
    pytest.mark.slow,
    pytest.mark.timeout(2400),
    pytest.mark.usefixtures("nothing_left"),
]

# As public kickstarts do it: they look for the disks, write the lines for one, and partition the other themselves.
STORAGE = """\
%include /tmp/disks.ks
part /srv --onpart=/dev/vdb1 --fstype=xfs --label=data
part swap --onpart=vdb2
%pre --interpreter=/bin/bash --erroronfail --log=/tmp/pre.log
set -ex
read -r first size < <(list-harddrives | sort)
half=$(( ${size%.*} / 2 ))
echo "part / --fstype=ext4 --size=$half --maxsize=$half --ondisk=$first" > /tmp/disks.ks
echo "%include /tmp/logs.ks" >> /tmp/disks.ks
echo "part /var/log --fstype=ext4 --size=100 --grow --ondisk=$first" > /tmp/logs.ks
parted --script /dev/vdb mklabel gpt mkpart data 1MiB 400MiB mkpart swap 400MiB 100%
mkfs.vfat /dev/vdb1
%end"""
ASKED = {
    "findmnt -n -o SOURCE,FSTYPE /": "/dev/vda1 ext4",
    "cat /sys/block/vda/vda1/size": str(1024 * 2048),
    "findmnt -n -o SOURCE,FSTYPE /var/log": "/dev/vda2 ext4",
    "cat /sys/block/vda/vda2/size": str(1023 * 2048),
    "findmnt -n -o SOURCE,FSTYPE,LABEL /srv": "/dev/vdb1 xfs data",
    "blkid -s PARTLABEL -o value /dev/vdb1": "data",
    "cat /sys/block/vdb/vdb1/size": str(399 * 2048),
    "swapon --show=NAME --noheadings": "/dev/vdb2",
    "dpkg-query -W -f '${Package}' xfsprogs": "xfsprogs",
    "systemctl is-system-running --wait; systemctl --failed --no-legend --plain": "running",
}
TWO_DISKS = (
    ("os: ", f"{LINT}os: "),
    ("disk: {size: 2GiB}", "disk: {size: 2GiB}\nextra_disks: [{size: 512MiB}]\nkickstart: {template: prepared.ks.j2}"),
    ("packages: [lrzsz, net-tools, qemu-guest-agent, screen, tree, vim, wget]\n", ""),
)


def test_pre_writes_one_disk_and_partitions_the_other(project: Project, variant: Callable[..., str]) -> None:
    project.write("kickstart/prepared.ks.j2", TEMPLATE.replace("STORAGE", STORAGE))
    image, manifest = build(project, variant(*TWO_DISKS))
    second = image.with_name(manifest["extra_images"][0]["file"])
    accel = accelerator.verdict(project.store / "host.json").accelerator
    with logged_in(image, project.folder / "prepared.qcow2", accel, PASSWORD, more=[second]) as console:
        console.run("systemctl is-system-running --wait", 300)
        answers = {command: console.run(command) for command in ASKED}
    assert answers == ASKED


def test_what_pre_writes_is_checked_before_the_disks_change(project: Project, variant: Callable[..., str]) -> None:
    wrong = STORAGE.replace("part /var/log --fstype=ext4", "part /var/log --fstype=jfs")
    project.write("kickstart/prepared.ks.j2", TEMPLATE.replace("STORAGE", wrong))
    ended = project.run("build", variant(*TWO_DISKS), "--json")
    assert ended.code == 1
    message = "/tmp/logs.ks line 1: part /var/log: --fstype=jfs is not supported by kickstrap"
    assert message in str(ended.events[-1])
    assert not any("partition and format" in str(event) for event in ended.events)
