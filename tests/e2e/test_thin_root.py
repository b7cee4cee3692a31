"""The root file system on a thin volume, and the packages that this needs: installed and booted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imagebuild.host import accelerator

from .conftest import KICKSTART_HEAD, PASSWORD, Project
from .guest_console import logged_in
from .test_disks import LINT, build

pytestmark = [
    pytest.mark.vm,
    pytest.mark.slow,
    pytest.mark.timeout(2400),
    pytest.mark.usefixtures("nothing_left"),
]

# What the layout needs is not named: lvm2, thin-provisioning-tools, xfsprogs.
TEMPLATE = (
    KICKSTART_HEAD
    + """\
dbus
{{ imagebuild.grub(machine.firmware) -}}
initramfs-tools
linux-image-cloud-amd64
systemd-sysv
udev
%end
{{ imagebuild.success(nonce) }}
"""
)
STORAGE = """\
clearpart --all
part /boot --size=300 --fstype=ext4
part pv.01 --size=1000 --grow
volgroup vg0 pv.01
logvol none --vgname=vg0 --name=pool --thinpool --size=1400 --grow
logvol / --vgname=vg0 --name=root --thin --poolname=pool --size=1300 --fstype=xfs
logvol /var/log --vgname=vg0 --name=logs --thin --poolname=pool --size=200 --fstype=ext4
logvol swap --vgname=vg0 --name=swap --size=64
snapshot vg0/root --name=fresh --when=post-install"""
ASKED = {
    "findmnt -n -o SOURCE,FSTYPE /": "/dev/mapper/vg0-root xfs",
    "findmnt -n -o SOURCE,FSTYPE /var/log": "/dev/mapper/vg0-logs ext4",
    "lvs --noheadings -o lv_name,pool_lv --separator : | tr -d ' ' | sort": (
        "fresh:pool\nlogs:pool\npool:\nroot:pool\nswap:"
    ),
    "lvs --noheadings -o lv_health_status vg0/pool | tr -d ' '": "",
    "dpkg-query -W -f '${Package}\\n' lvm2 thin-provisioning-tools xfsprogs": "lvm2\nthin-provisioning-tools\nxfsprogs",
    "swapon --show=TYPE,SIZE --noheadings": "partition 64M",
    # not whether all units run: on a slow machine dmeventd answers later than lvm2-monitor waits for it
    "systemctl restart lvm2-monitor; lvs --noheadings -o seg_monitor vg0/pool | tr -d ' '": "monitored",
}
PASSPHRASE = "correct horse battery staple"


@pytest.mark.parametrize("locked", [False, True], ids=["plain", "encrypted"])
def test_the_root_is_on_a_thin_volume(project: Project, variant: Callable[..., str], *, locked: bool) -> None:
    storage = STORAGE
    if locked:
        words = "--grow --encrypted --passphrase={{ encryption.passphrase }}"
        storage = storage.replace("--grow\nvolgroup", f"{words}\nvolgroup")
    template = "thin_encrypted" if locked else "thin"
    project.write(f"kickstart/{template}.ks.j2", TEMPLATE.replace("STORAGE", storage))
    project.write("recipes/passphrase", PASSPHRASE)
    secret = "encryption: {passphrase: {file: passphrase}}\n" if locked else ""
    name = variant(
        ("os: ", f"{LINT}{secret}os: "),
        ("disk: {size: 2GiB}", f"disk: {{size: 3GiB}}\nkickstart: {{template: {template}.ks.j2}}"),
        ("packages: [lrzsz, net-tools, qemu-guest-agent, screen, tree, vim, wget]\n", ""),
    )
    image, _ = build(project, name)
    accel = accelerator.verdict(project.store / "host.json").accelerator
    overlay = project.folder / f"{template}.qcow2"
    with logged_in(image, overlay, accel, PASSWORD, passphrase=PASSPHRASE if locked else "") as console:
        console.run("systemctl is-system-running --wait", 300)
        answers = {command: console.run(command) for command in ASKED}
    assert answers == ASKED
