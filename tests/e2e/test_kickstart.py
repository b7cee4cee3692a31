"""The kickstart commands that kickstrap supports, in one real installation, each checked in the
guest.

Those that put disks together are in test_disks.py.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imagebuild.host import accelerator

from .conftest import PASSWORD, Ended, Project
from .guest_console import logged_in

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800), pytest.mark.usefixtures("nothing_left")]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtWv8hXcN2mYc1Jm4G1Yg5g0m3cJm0yZ0m3cJm0yZ0m ops"
TEMPLATE = f"""\
{{% import "macros.ks.j2" as imagebuild %}}
{{% import "guest.ks.j2" as guest %}}
text
lang C.UTF-8
keyboard --vckeymap=de --xlayouts=de
timezone Europe/Berlin --utc
{{{{ imagebuild.source(payload) }}}}
network --device=eth0 --bootproto=static --ip=10.0.2.77 --netmask=255.255.255.0 --gateway=10.0.2.2 --nameserver=10.0.2.3 --hostname=everything
{{{{ imagebuild.root(root) }}}}
group --name=operators --gid=2000
user --name=ops --groups=operators,sudo --uid=2001 --shell=/bin/bash --gecos="Operations, first shift" --lock
sshkey --username=ops "{KEY}"
{{{{ guest.accounts(users, os) }}}}
{{{{ guest.services(services) }}}}
selinux --disabled
firewall --disabled
firstboot --disable
skipx
eula --agreed
zerombr
clearpart --all --initlabel
part / --fstype=xfs --size=1200 --label=system
part /srv --fstype=ext4 --size=64 --grow --label=data --fsoptions="noatime,nodev"
bootloader --location=mbr --timeout=1 --append={{{{ kernel_arguments | join(" ") }}}}
reboot

%packages --nocore --exclude-weakdeps
grub-pc
initramfs-tools
linux-image-cloud-amd64
systemd-sysv
udev
dbus
ifupdown
iproute2
logrotate
openssh-server
tzdata
xfsprogs
{{% for package in packages %}}
{{{{ package }}}}
{{% endfor %}}
-nano
%end

%pre --interpreter=/usr/bin/python3 --erroronfail --log=/tmp/pre.log
open("/tmp/from-pre", "w").write("pre was here")
%end

%post --nochroot --erroronfail
cp /tmp/from-pre /mnt/sysimage/etc/from-pre
%end

%post --log=/root/post.log
echo "told to the log"
false
%end

%post --interpreter=/usr/bin/perl --erroronfail
open(my $file, ">", "/etc/from-perl"); print $file "perl was here\\n"; close($file);
%end

{{{{ guest.settings(users, tuning) }}}}
{{{{ imagebuild.success(nonce) }}}}
"""  # noqa: E501

# The recipe's accounts and tuning, written by the macros of guest.ks.j2.
SAID = f"""\
kickstart: {{template: everything.ks.j2}}
users:
  - {{name: admin, password: {{env: SMALL_ROOT_PASSWORD}}, sudo: true, uid: 2003, gid: 2004, gecos: "Ann, it's 100%"}}
  - {{name: deploy, sudo: true, groups: [adm], shell: /bin/sh, ssh_keys: ["{KEY}"]}}
services: {{enabled: [ssh], disabled: [logrotate.timer]}}
tuning:
  interface_names: classic
  serial_console: true
  io_scheduler: bfq
  transparent_huge_pages: never
  tuned_profile: virtual-guest
lint:
  ignore:
    several-root-file-systems: a second one is what is tried
    reboot: kickstrap switches off for it, too
"""

ASKED = {
    "cat /etc/hostname": "everything",
    "ip -4 -o addr show dev eth0 scope global | awk '{print $4}'": "10.0.2.77/24",
    "ip route show default | awk '{print $3}'": "10.0.2.2",
    "cat /etc/resolv.conf | grep nameserver": "nameserver 10.0.2.3",
    "readlink -f /etc/localtime": "/usr/share/zoneinfo/Europe/Berlin",
    "grep XKBLAYOUT /etc/default/keyboard": 'XKBLAYOUT="de"',
    "findmnt -n -o FSTYPE,LABEL /": "xfs system",
    "findmnt -n -o FSTYPE,LABEL /srv": "ext4 data",
    "findmnt -n -o OPTIONS /srv | tr , '\\n' | grep -cE '^(noatime|nodev)$'": "2",
    "getent group operators": "operators:x:2000:ops",
    "getent passwd ops": "ops:x:2001:2001:Operations, first shift:/home/ops:/bin/bash",
    "id -nG ops": "ops sudo operators",
    "stat -c '%U %a' /home/ops/.ssh/authorized_keys": "ops 600",
    "grep -c 'ed25519 AAAA.* ops' /home/ops/.ssh/authorized_keys": "1",
    "getent shadow ops | cut -d: -f2 | head -c 1": "!",
    "systemctl is-enabled logrotate.timer ssh": "disabled\nenabled",
    "getent passwd admin": "admin:x:2003:2004:Ann, it's 100%:/home/admin:/bin/bash",
    "getent group admin": "admin:x:2004:",
    "id -nG admin": "admin sudo",
    # sudo asks admin for the password and accepts it; deploy has none and is not asked
    "su admin -c 'sudo -n id -un' >/dev/null 2>&1 || echo asks": "asks",
    f"printf '%s\\n' '{PASSWORD}' | su admin -c 'sudo -S -p \"\" id -un 2>/dev/null'": "root",
    "su deploy -c 'sudo -n id -un 2>/dev/null'": "root",
    "getent shadow deploy | cut -d: -f2 | head -c 1": "!",
    "id -nG deploy": "deploy adm",
    "stat -c '%U %a' /home/deploy/.ssh/authorized_keys": "deploy 600",
    "visudo -c -q && echo sound": "sound",
    "grep -o '\\[.*\\]' /sys/block/vda/queue/scheduler": "[bfq]",
    "grep -o '\\[.*\\]' /sys/kernel/mm/transparent_hugepage/enabled": "[never]",
    "tuned-adm active": "Current active profile: virtual-guest",
    "cat /proc/sys/vm/swappiness": "30",
    "systemctl is-enabled tuned": "enabled",
    "cat /sys/class/tty/console/active": "tty0 ttyS0",
    "cat /etc/from-pre": "pre was here",
    "cat /etc/from-perl": "perl was here",
    "cat /root/post.log": "told to the log",
    "swapon --show --noheadings": "",
    "dpkg-query -W -f '${db:Status-Status}' nano 2>/dev/null": "",
}


def test_each_command_works(project: Project, built: Ended, variant: Callable[..., str]) -> None:
    project.write("kickstart/everything.ks.j2", TEMPLATE)
    name = variant(
        ("disk: ", f"{SAID}disk: "),
        ("packages: [lrzsz, net-tools, qemu-guest-agent, screen, tree, vim, wget]\n", ""),
        ("  - reset-hostname\n", "  - reset-hostname: {hostname: everything}\n"),
    )
    ended = project.run("build", name, "--json")
    assert ended.code == 0, f"{ended.events[-3:]} {ended.stderr}"
    image = project.folder / str(ended.last("artifact")["image"])
    accel = accelerator.verdict(project.store / "host.json").accelerator
    with logged_in(image, project.folder / "everything.qcow2", accel, PASSWORD) as console:
        console.run("systemctl is-system-running --wait", 300)
        answers = {command: console.run(command) for command in ASKED}
    assert answers == ASKED
