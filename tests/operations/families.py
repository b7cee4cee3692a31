"""Synthetic guests: the layout of each family, after some use, full of things that a template must
not contain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.operations.memory import Node, Tree, with_folders

MARK = "m4rked"
"""Part of every text that must not remain in a template."""
MACHINE_ID = "4fb1a1c2d3e4f5061728394a5b6c7d8e"
ADDRESS = "52:54:00:4f:b1:a1"
CARD_UUID = "5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03"
GONE = (MARK, MACHINE_ID, ADDRESS, ADDRESS.upper(), CARD_UUID)


@dataclass(frozen=True)
class Family:
    """A guest: its name, its files, and texts that must still be somewhere in it afterwards."""

    name: str
    files: Mapping[str, str | Node]
    kept: tuple[str, ...] = ()
    fstypes: tuple[str, ...] = field(default=("ext4",))

    def tree(self) -> Tree:
        """The guest's files as nodes, including their folders."""
        nodes = {
            path: value if isinstance(value, Node) else Node("file", 0o644, value.encode())
            for path, value in {**_COMMON, **self.files}.items()
        }
        return with_folders(nodes)


def _secret(text: str, uid: int = 0) -> Node:
    return Node("file", 0o600, text.encode(), uid, uid)


def _folder(mode: int = 0o755, uid: int = 0) -> Node:
    return Node("dir", mode, b"", uid, uid)


def _program() -> Node:
    return Node("file", 0o755, b"\x7fELF")


_PASSWD = "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/bash\n"

_COMMON: dict[str, str | Node] = {
    "/etc/passwd": _PASSWD,
    "/etc/group": "root:x:0:\nann:x:1000:\n",
    "/etc/hosts": "127.0.0.1 localhost\n",
    "/root": _folder(0o700),
    "/home/ann": _folder(0o700, 1000),
    "/home/ann/.bash_history": _secret(f"mysql -p{MARK}\n", 1000),
    "/home/ann/.ssh": _folder(0o700, 1000),
    "/home/ann/.ssh/id_ed25519": _secret(f"-----BEGIN OPENSSH PRIVATE KEY-----\n{MARK}\n", 1000),
    "/home/ann/.ssh/known_hosts": _secret(f"host ssh-ed25519 {MARK}\n", 1000),
    "/root/.bash_history": _secret(f"{MARK}\n"),
    "/tmp": _folder(0o1777),
    "/tmp/left": MARK,
    "/var/tmp/left": MARK,
    "/var/log/messages": f"boot {MARK}\n",
    "/var/log/wtmp": f"{MARK}",
    "/etc/ssh/ssh_host_rsa_key": _secret(f"{MARK}\n"),
    "/etc/ssh/ssh_host_rsa_key.pub": f"ssh-rsa {MARK}\n",
    "/etc/ssh/sshd_config": "UsePAM yes\n",
    "/usr/sbin/sshd": _program(),
    "/var/spool/cron": _folder(0o700),
}

_SYSTEMD: dict[str, str | Node] = {
    "/usr/lib/systemd/systemd": _program(),
    "/etc/machine-id": f"{MACHINE_ID}\n",
    "/var/lib/dbus/machine-id": f"{MACHINE_ID}\n",
    "/var/lib/systemd/random-seed": _secret(f"{MARK}"),
    "/var/lib/systemd/credential.secret": _secret(f"{MARK}"),
    f"/var/log/journal/{MACHINE_ID}/system.journal": f"{MARK}",
}

_NETWORK_MANAGER: dict[str, str | Node] = {
    "/var/lib/NetworkManager/secret_key": _secret(f"nm-v2:{MARK}"),
    f"/var/lib/NetworkManager/internal-{CARD_UUID}-eth0.lease": f"ADDRESS=192.0.2.7\n# {MARK}\n",
    "/var/lib/NetworkManager/NetworkManager.state": "[main]\nNetworkingEnabled=true\n",
}

_IFCFG = f'DEVICE=eth0\nTYPE=Ethernet\nUUID="{CARD_UUID}"\nHWADDR={ADDRESS.upper()}\nBOOTPROTO=dhcp\nONBOOT=yes\n'
_NET_RULES = f'SUBSYSTEM=="net", ATTR{{address}}=="{ADDRESS}", NAME="eth1"\n'
_SELINUX = "SELINUX=enforcing\nSELINUXTYPE=targeted\n"
_ANACONDA: dict[str, str | Node] = {
    "/root/anaconda-ks.cfg": _secret(f"rootpw --iscrypted {MARK}\n"),
    "/var/log/anaconda/anaconda.log": f"{MARK}\n",
}

_DNF: dict[str, str | Node] = {
    "/usr/bin/rpm": _program(),
    "/usr/bin/dnf": _program(),
    "/var/cache/dnf/baseos.solv": MARK,
    "/etc/dnf/dnf.conf": "[main]\ngpgcheck=1\n",
    "/etc/pki/consumer/key.pem": _secret(f"{MARK}\n"),
    "/usr/lib/systemd/system/sshd-keygen@.service": "[Service]\nType=oneshot\n",
    "/usr/lib/systemd/system/firewalld.service": "[Install]\nWantedBy=multi-user.target\n",
    "/etc/systemd/system/multi-user.target.wants/firewalld.service": Node(
        "symlink", 0o777, b"/usr/lib/systemd/system/firewalld.service"
    ),
}

RHEL6 = Family(
    "rhel-6",
    {
        "/etc/redhat-release": "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n",
        "/usr/bin/yum": _program(),
        "/bin/rpm": _program(),
        "/etc/sysconfig/network-scripts/ifcfg-eth0": _IFCFG,
        "/etc/sysconfig/network": f"NETWORKING=yes\nHOSTNAME={MARK}.example.com\n",
        "/etc/udev/rules.d/70-persistent-net.rules": _NET_RULES,
        "/etc/udev/rules.d/70-persistent-cd.rules": f"# {MARK}\n",
        "/etc/selinux/config": _SELINUX,
        "/boot/grub/grub.conf": (
            "title Linux 6\n\tkernel /vmlinuz-2.6.32 ro root=/dev/vda1\n\tinitrd /initramfs-2.6.32.img\n"
        ),
        "/etc/init.d/iptables": _program(),
        "/etc/rc.d/rc3.d/S08iptables": Node("symlink", 0o777, b"../init.d/iptables"),
        "/etc/init.d/sshd": Node("file", 0o755, b"#!/bin/bash\ndo_rsa_keygen() { ssh-keygen -t rsa1; }\n"),
        "/etc/sysconfig/rhn/systemid": _secret(f"{MARK}\n"),
        "/var/lib/dhclient/dhclient-eth0.leases": f"lease {{ {MARK} }}\n",
        "/var/lib/yum/uuid": f"{MARK}\n",
        "/var/lib/random-seed": _secret(MARK),
        "/root/install.log": MARK,
        **_ANACONDA,
    },
    kept=("DEVICE=eth0", "SELINUX=disabled", "SELINUXTYPE=targeted", "NETWORKING=yes\nHOSTNAME=localhost"),
)

RHEL7 = Family(
    "rhel-7",
    {
        "/etc/os-release": 'ID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="7"\n',
        "/etc/sysconfig/network-scripts/ifcfg-eth0": _IFCFG,
        "/etc/hostname": f"{MARK}.example.com\n",
        "/etc/udev/rules.d/70-persistent-ipoib.rules": _NET_RULES,
        "/etc/selinux/config": _SELINUX,
        "/etc/default/grub": 'GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX="console=ttyS0"\n',
        "/boot/grub2/grub.cfg": "menuentry 'Linux 7' {\n\tlinux16 /vmlinuz root=/dev/vda1 ro\n}\n",
        "/etc/iscsi/initiatorname.iscsi": f"InitiatorName=iqn.1994-05.com.redhat:{MARK}\n",
        "/usr/bin/rpm": _program(),
        "/usr/bin/yum": _program(),
        "/var/cache/yum/x86_64/7/base/cachecookie": MARK,
        "/var/lib/rpm/__db.001": MARK,
        "/usr/lib/systemd/system/sshd-keygen.service": "[Service]\nExecStart=/usr/sbin/sshd-keygen\n",
        **_SYSTEMD,
        **_NETWORK_MANAGER,
        **_ANACONDA,
    },
    kept=("DEVICE=eth0", "SELINUX=disabled"),
    fstypes=("ext4", "xfs"),
)

RHEL8 = Family(
    "rhel-8",
    {
        "/etc/os-release": 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.10"\n',
        "/etc/sysconfig/network-scripts/ifcfg-eth0": _IFCFG,
        "/etc/hostname": f"{MARK}\n",
        "/etc/selinux/config": _SELINUX,
        "/etc/default/grub": 'GRUB_CMDLINE_LINUX="crashkernel=auto"\nGRUB_ENABLE_BLSCFG=true\n',
        f"/boot/loader/entries/{MACHINE_ID}-4.18.0.conf": "title Linux 8\noptions $kernelopts $tuned_params\n",
        "/boot/grub2/grubenv": "# GRUB Environment Block\nkernelopts=root=/dev/vda1 ro\n".ljust(1024, "#"),
        "/var/crash/127.0.0.1-2026/vmcore": MARK,
        **_SYSTEMD,
        **_DNF,
        **_NETWORK_MANAGER,
        **_ANACONDA,
    },
    kept=("DEVICE=eth0", "ro selinux=0"),
    fstypes=("ext4", "xfs"),
)

_KEYFILE = _secret(
    f"[connection]\nid=eth0\nuuid={CARD_UUID}\ntype=ethernet\n\n[ethernet]\nmac-address={ADDRESS}\n\n[ipv4]\n"
    "method=auto\n"
)

RHEL9 = Family(
    "rhel-9",
    {
        "/etc/os-release": 'ID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.6"\n',
        "/etc/NetworkManager/system-connections/eth0.nmconnection": _KEYFILE,
        "/etc/hostname": f"{MARK}\n",
        "/etc/selinux/config": _SELINUX,
        "/etc/kernel/cmdline": "root=/dev/vda1 ro\n",
        f"/boot/loader/entries/{MACHINE_ID}-5.14.0.conf": "title Linux 9\noptions root=/dev/vda1 ro\n",
        "/etc/nvme/hostnqn": f"nqn.2014-08.org.nvmexpress:uuid:{MARK}\n",
        "/etc/nvme/hostid": f"{MARK}\n",
        "/etc/lvm/devices/system.devices": f"IDTYPE=sys_serial IDNAME={MARK}\n",
        "/var/lib/cloud/instance": Node("symlink", 0o777, b"/var/lib/cloud/instances/i-1"),
        "/var/lib/cloud/instances/i-1/user-data.txt": _secret(f"password: {MARK}\n"),
        "/etc/cloud/cloud.cfg": "users: [default]\n",
        **_SYSTEMD,
        **_DNF,
        **_NETWORK_MANAGER,
        **_ANACONDA,
    },
    kept=("type=ethernet", "root=/dev/vda1 ro selinux=0"),
    fstypes=("ext4", "xfs"),
)

FEDORA = Family(
    "fedora",
    {
        **RHEL9.files,
        "/etc/os-release": "ID=fedora\nVERSION_ID=45\n",
        "/var/cache/libdnf5/fedora/solv/fedora.solv": MARK,
        "/var/lib/systemd/coredump/core.x.zst": MARK,
    },
    kept=("type=ethernet",),
)

_DEBIAN: dict[str, str | Node] = {
    "/var/lib/dpkg/status": "Package: vim\nStatus: install ok installed\nVersion: 2:9.1\n",
    "/var/lib/apt/lists/mirror_dists_trixie_InRelease": MARK,
    "/var/cache/apt/archives/tree_2.deb": MARK,
    "/var/lib/dhcp/dhclient.eth0.leases": f"lease {{ {MARK} }}\n",
    "/var/log/installer/syslog": MARK,
    "/etc/default/grub": 'GRUB_CMDLINE_LINUX=""\n',
    "/etc/hostname": f"{MARK}\n",
    "/etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {MARK}.example.com {MARK}\n",
    "/etc/passwd-": _PASSWD + f"{MARK}:x:1001:1001::/:/bin/sh\n",
    "/etc/shadow-": _secret(f"root:{MARK}:1:0:99999:7:::\n"),
}

DEBIAN = Family(
    "debian",
    {
        "/etc/os-release": 'ID=debian\nVERSION_ID="13"\n',
        "/etc/network/interfaces": f"auto eth0\niface eth0 inet dhcp\n    hwaddress ether {ADDRESS}\n",
        "/var/lib/dpkg/status-old": MARK,
        "/etc/iscsi/initiatorname.iscsi": f"InitiatorName=iqn.1993-08.org.debian:01:{MARK}\n",
        **_SYSTEMD,
        **_DEBIAN,
    },
    kept=("iface eth0 inet dhcp", "127.0.0.1 localhost"),
    fstypes=("ext4", "xfs"),
)

UBUNTU = Family(
    "ubuntu",
    {
        "/etc/os-release": 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n',
        "/etc/netplan/01-netcfg.yaml": (
            "network:\n  version: 2\n  ethernets:\n    eth0:\n      dhcp4: true\n      match:\n"
            f'        macaddress: "{ADDRESS}"\n      set-name: eth0\n'
        ),
        "/var/lib/cloud/instances/i-1/user-data.txt": _secret(f"{MARK}\n"),
        "/etc/cloud/cloud.cfg": "users: [default]\n",
        "/var/lib/snapd/device/private-keys-v1/key": _secret(f"{MARK}\n"),
        "/var/crash/_usr_bin_x.0.crash": MARK,
        "/etc/ufw/ufw.conf": "ENABLED=yes\n",
        **_SYSTEMD,
        **_DEBIAN,
    },
    kept=("ENABLED=no", "dhcp4: true"),
)

SUSE = Family(
    "suse",
    {
        "/etc/os-release": 'ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"\n',
        "/etc/sysconfig/network/ifcfg-eth0": f"BOOTPROTO='dhcp'\nSTARTMODE='auto'\nLLADDR='{ADDRESS}'\n",
        "/etc/udev/rules.d/70-persistent-net.rules": _NET_RULES,
        "/etc/HOSTNAME": f"{MARK}\n",
        "/etc/hostname": f"{MARK}\n",
        "/usr/bin/rpm": _program(),
        "/usr/bin/zypper": _program(),
        "/var/cache/zypp/raw/repo/repomd.xml": MARK,
        "/etc/zypp/credentials.d/SCCcredentials": _secret(f"username={MARK}\n"),
        "/var/lib/zypp/AnonymousUniqueId": MARK,
        "/var/lib/wicked/lease-eth0-dhcp-ipv4.xml": f"<lease>{MARK}</lease>\n",
        "/usr/lib/systemd/system/sshd.service": "[Service]\nExecStartPre=/usr/sbin/sshd-gen-keys-start\n",
        **_SYSTEMD,
    },
    kept=("BOOTPROTO='dhcp'",),
)

ALPINE = Family(
    "alpine",
    {
        "/etc/os-release": "ID=alpine\nVERSION_ID=3.22.0\n",
        "/etc/alpine-release": "3.22.0\n",
        "/etc/network/interfaces": f"auto eth0\niface eth0 inet dhcp\n\thwaddress {ADDRESS}\n",
        "/etc/hostname": f"{MARK}\n",
        "/etc/machine-id": f"{MACHINE_ID}\n",
        "/lib/apk/db/installed": "P:vim\nV:9.1\n\n",
        "/sbin/apk": _program(),
        "/var/cache/apk/APKINDEX.x.tar.gz": MARK,
        "/root/.ash_history": _secret(f"{MARK}\n"),
        "/etc/init.d/sshd": Node("file", 0o755, b"#!/sbin/openrc-run\nstart_pre() { ssh-keygen -A; }\n"),
        "/etc/runlevels/default/sshd": Node("symlink", 0o777, b"/etc/init.d/sshd"),
    },
    kept=("iface eth0 inet dhcp",),
)

ALL = (RHEL6, RHEL7, RHEL8, RHEL9, FEDORA, DEBIAN, UBUNTU, SUSE, ALPINE)
