"""Kickstarts as people have them for the RHEL family, installed as Debian guests, which are asked.

``foreign/`` has the files. The test adds what a user of imagebuild adds: the source of the packages,
the root password, and the mark of success. The first one runs in `make test`, the others take long.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.host import accelerator

from .conftest import PASSWORD, Project
from .guest_console import logged_in

FOREIGN = Path(__file__).parent / "foreign"
pytestmark = [
    pytest.mark.vm,
    pytest.mark.slow,
    pytest.mark.timeout(2400),
    pytest.mark.usefixtures("nothing_left"),
]

RECIPE = """\
name: {name}
os: {{family: debian, version: 13, codename: trixie}}
disk: {{size: 3GiB}}
vm: {{timeout: 30m, vcpus: 1}}
root:
  password: {{env: SMALL_ROOT_PASSWORD}}
kernel_arguments: [net.ifnames=0, biosdevname=0, console=tty0, "console=ttyS0,115200n8"]
kickstart: {{template: {name}.ks.j2{syntax}}}
lint:
  ignore: {{{ignored}}}
"""
ADDED = """\
{{ imagebuild.source(payload) }}
{{ imagebuild.root(root, sshkey=false) }}
{{ imagebuild.success(nonce) }}
"""
RULES = (
    "defined-twice", "deprecated", "given-again", "http-without-checksum", "interactive", "plaintext-password",
    "post-without-erroronfail", "reboot", "several-install-sources", "several-root-file-systems", "shared-identity",
    "swap",
)  # fmt: skip
"""Opinions on golden images, which these files do not share."""

ASKED = {
    "bond_and_firewall": {
        "head -n1 /etc/hostname": "rack7.example",
        "cat /sys/class/net/bond0/bonding/mode /sys/class/net/bond0/bonding/slaves": "active-backup 1\neth0 eth1",
        "ip -4 -o addr show dev bond0 | awk '{print $4}'": "10.0.2.50/24",
        "cat /sys/class/net/bond0/mtu /proc/sys/net/ipv6/conf/bond0/disable_ipv6": "1400\n1",
        "ip route show default | cut -d' ' -f1-5": "default via 10.0.2.2 dev bond0",
        "nft list chain inet filter input | grep dport | tr -d '\\t' | sort": (
            "ip6 saddr fe80::/10 udp dport 546 accept\ntcp dport { 22, 443, 8080 } accept\nudp dport 514 accept"
        ),
        "nft list chain inet filter input | grep -c 'policy drop'": "1",
        "systemctl is-enabled nftables ssh": "enabled\nenabled",
        "cat /etc/systemd/timesyncd.conf.d/kickstart.conf | tail -n1": "NTP=192.0.2.123",
        "ls /usr/share/doc/openssh-server": "copyright",
        "cat /root/after.log": "done",
    },
    "rhel_6": {
        "hostname": "old.example",
        "lvs --noheadings -o lv_name,vg_name | tr -s ' ' | sort": " lv_root vg_old\n lv_swap vg_old",
        "swapon --show=TYPE --noheadings": "partition",
        "getent passwd operator7": "operator7:x:700:700::/home/operator7:/bin/bash",
        "getent shadow operator7 | cut -c1-13": "operator7:$1$",
        "nft list chain inet filter input | grep 'tcp dport' | tr -d '\\t'": "tcp dport { 21, 22 } accept",
        "readlink /etc/localtime": "/usr/share/zoneinfo/America/New_York",
        "cat /etc/motd": "installed by kickstart",
        "dpkg-query -W -f '${Package}\\n' vim-tiny openssh-client": "openssh-client\nvim-tiny",
    },
    "centos_7": {
        "hostname": "web.example",
        "ip -4 -o addr show dev eth0 scope global | awk '{print $4}'": "10.0.2.15/24",
        "grep -E '^server' /etc/chrony/chrony.conf": "server 192.0.2.10 iburst\nserver 192.0.2.11 iburst",
        "systemctl is-active apache2 chrony": "active\nactive",
        "nft list chain inet filter input | grep 'tcp dport' | tr -d '\\t'": "tcp dport { 22, 80 } accept",
        "grep -c 'password_pbkdf2 root grub.pbkdf2' /boot/grub/grub.cfg": "1",
        "grep -c -- '--unrestricted' /boot/grub/grub.cfg | grep -v '^0$' >/dev/null && echo free": "free",
        "cat /var/www/html/index.html": "hello",
    },
    "bridge_and_vlan": {
        "ls /sys/class/net/br0/brif": "eth0",
        "ip -4 -o addr show dev br0 | awk '{print $4}'": "10.0.2.15/24",
        "ip -d link show eth1.30 | grep -o 'vlan protocol 802.1Q id 30'": "vlan protocol 802.1Q id 30",
        "ip -o addr show dev eth1.30 scope global | awk '{print $4}' | sort": "192.0.2.30/25\n2001:db8::30/64",
        "systemctl is-enabled systemd-networkd": "enabled",
        "id -nG ann": "ann vmadmins",
        "systemctl is-enabled systemd-timesyncd 2>&1 | head -n1 | grep -c enabled": "0",
    },
    "minimal": {
        "ip -4 -o addr show scope global | awk '{print $4}'": "10.0.2.15/24",
        "dpkg-query -W -f '${db:Status-Status} ' bind9-dnsutils vim netcat-openbsd openssh-server": (
            "installed installed installed installed"
        ),
        "systemctl is-active ssh": "active",
    },
    "networkmanager_and_firewalld": {
        "nmcli -g GENERAL.STATE device show eth0": "100 (connected)",
        "ip -o addr show dev eth0 scope global | awk '{print $4}' | sort": "10.0.2.60/24\n2001:db8::60/64",
        "firewall-cmd --list-services | tr ' ' '\\n' | sort": "cockpit\nssh",
        "firewall-cmd --list-ports": "9000-9005/tcp",
        "firewall-cmd --zone=trusted --list-interfaces": "eth1",
        "cat /etc/from-outside": "chroot",
    },
}
"""The question that each guest is asked on its console, and the answer."""
OWN_SYNTAX = {"centos_7": "RHEL7"}
"""`#version=DEVEL` names none, so the recipe says it."""


@pytest.mark.parametrize("name", ASKED)
def test_a_foreign_kickstart_is_installed(project: Project, name: str) -> None:
    text = (FOREIGN / f"{name}.ks").read_text(encoding="utf-8")
    recipe = name.replace("_", "-")
    project.write(f"kickstart/{recipe}.ks.j2", f'{text}{{% import "macros.ks.j2" as imagebuild %}}\n{ADDED}')
    syntax = f", syntax: {OWN_SYNTAX[name]}" if name in OWN_SYNTAX else ""
    ignored = ", ".join(f"{rule}: it is foreign" for rule in RULES)
    project.write(f"recipes/{recipe}.yaml", RECIPE.format(name=recipe, syntax=syntax, ignored=ignored))
    ended = project.run("build", recipe, "--json")
    assert ended.code == 0, f"{ended.events[-3:]} {ended.stderr}"
    image = project.folder / str(ended.last("artifact")["image"])
    accel = accelerator.verdict(project.store / "host.json").accelerator
    with logged_in(image, project.folder / f"{recipe}-clone.qcow2", accel, PASSWORD, cards=2) as console:
        console.run("systemctl is-system-running --wait", 300)
        answers = {command: console.run(command) for command in ASKED[name]}
    assert answers == ASKED[name]
