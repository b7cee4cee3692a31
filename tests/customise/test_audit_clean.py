"""The contents of clean images are not reported: an audit of each of these finds nothing but notes."""

from __future__ import annotations

import pytest

from imagebuild.customise import registry
from imagebuild.customise.audit import KINDS
from imagebuild.customise.runner import audit_guest
from tests.operations.memory import MemoryDisk, Node, with_folders

FOLDER = Node("dir", 0o755)
ID = "0123456789abcdef0123456789abcdef"


def link(target: str) -> Node:
    return Node("symlink", 0o777, target.encode())


DEBIAN: dict[str, str | Node] = {
    "/etc/os-release": "ID=debian\nVERSION_ID=13\n",
    "/etc/machine-id": Node("file", 0o444, b"uninitialized\n"),
    "/var/lib/dbus/machine-id": link("/etc/machine-id"),
    "/etc/hostname": "localhost\n",
    "/etc/hosts": "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n",
    "/etc/fstab": "PARTUUID=0f0f0f0f-01 / ext4 rw,discard 0 1\n",
    "/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n_apt:x:42:65534::/nonexistent:/usr/sbin/nologin\n",
    "/etc/passwd-": "root:x:0:0:root:/root:/bin/bash\n",
    "/etc/shadow": Node("file", 0o640, b"root:*:20000:0:99999:7:::\n_apt:!:20000::::::\n"),
    "/etc/shadow-": Node("file", 0o640, b"root:*:20000:0:99999:7:::\n"),
    "/etc/group": "root:x:0:\n",
    "/etc/group-": "root:x:0:\n",
    "/etc/cloud/cloud.cfg": (
        "users:\n  - default\nsystem_info:\n  default_user:\n    name: debian\n    lock_passwd: True\n"
    ),
    "/etc/network/interfaces": "source-directory /etc/network/interfaces.d\nauto lo\niface lo inet loopback\n",
    "/etc/netplan/90-default.yaml": (
        "network:\n  version: 2\n  ethernets:\n    all-en:\n      match: {name: 'en*'}\n      dhcp4: true\n"
    ),
    "/etc/default/grub.d/10_cloud.cfg": 'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"\n',
    "/etc/iscsi/initiatorname.iscsi": Node(
        "file", 0o600, b"## DO NOT EDIT\n## may reject this initiator.\nGenerateName=yes\n"
    ),
    "/etc/snmp/snmpd.conf": "agentaddress 127.0.0.1,[::1]\nrocommunity public default -V systemonly\n",
    "/var/lib/cloud/seed": FOLDER,
    "/var/lib/cloud/instances": FOLDER,
    "/var/lib/dhcp": FOLDER,
    "/var/lib/systemd/catalog/database": Node("file", 0o644, b"RHHHKSLP\0\0"),
    "/var/log/wtmp": Node("file", 0o664),
    "/var/log/btmp": Node("file", 0o660),
    "/var/log/lastlog": Node("file", 0o664),
    "/var/log/journal": FOLDER,
    "/var/cache/debconf/passwords.dat": Node("file", 0o600, b""),
    "/var/cache/ldconfig/aux-cache": Node("file", 0o600, b"glibc-ld.so.cache1.1"),
    "/root/.ssh/authorized_keys": Node("file", 0o600),
    "/root/.bashrc": "# ~/.bashrc\n",
    "/usr/lib/systemd/systemd": Node("file", 0o755),
    "/usr/sbin/sshd": Node("file", 0o755),
    "/boot/grub/grub.cfg": "menuentry 'Debian' {\n\tlinux /boot/vmlinuz root=PARTUUID=0f0f0f0f-01 ro\n}\n",
}
FEDORA: dict[str, str | Node] = {
    "/etc/os-release": 'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=45\n',
    "/etc/machine-id": Node("file", 0o444, b"uninitialized\n"),
    "/etc/passwd": "root:x:0:0:Super User:/root:/bin/bash\n",
    "/etc/shadow": Node("file", 0, b"root:!unprovisioned:20000::::::\n"),
    "/etc/selinux/config": "SELINUX=enforcing\nSELINUXTYPE=targeted\n",
    "/etc/systemd/system/multi-user.target.wants/firewalld.service": link("/usr/lib/systemd/system/firewalld.service"),
    "/usr/lib/systemd/system/firewalld.service": "[Install]\nWantedBy=multi-user.target\n",
    "/usr/lib/systemd/system/sshd-keygen@.service": "[Service]\nExecStart=/usr/libexec/openssh/sshd-keygen %i\n",
    "/usr/sbin/sshd": Node("file", 0o755),
    "/usr/lib/systemd/systemd": Node("file", 0o755),
    f"/boot/loader/entries/{ID}-6.12.0.conf": (
        "title Fedora\noptions root=UUID=6d2cd7f6-0001-4002-8003-000000000004 ro\n"
    ),
    f"/boot/initramfs-0-rescue-{ID}.img": Node("file", 0o600),
    "/etc/chrony.keys": Node("file", 0o640, b"#1 MD5 AVeryLongAndRandomPassword\n"),
    "/etc/NetworkManager/system-connections": FOLDER,
    "/var/lib/dnf": FOLDER,
    "/var/cache/dnf": FOLDER,
}
ROCKY: dict[str, str | Node] = {
    **FEDORA,
    "/etc/os-release": 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.6"\n',
    "/etc/machine-id": Node("file", 0o444),
    "/etc/hostname": "localhost.localdomain\n",
    "/etc/sysconfig/network": "NETWORKING=yes\nHOSTNAME=localhost.localdomain\n",
    "/etc/sysconfig/network-scripts/ifcfg-eth0": 'DEVICE="eth0"\nBOOTPROTO="dhcp"\nONBOOT="yes"\nTYPE="Ethernet"\n',
    "/etc/shadow": Node("file", 0, b"root:!!:20000:0:99999:7:::\n"),
    "/etc/pki/tls/private": FOLDER,
    "/etc/pki/tls/certs/ca-bundle.crt": link("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
}
CLEAN = {"debian": DEBIAN, "fedora": FEDORA, "rocky": ROCKY}


def carried(files: dict[str, str | Node]) -> list[tuple[str, str, str]]:
    nodes = {path: Node("file", 0o644, one.encode()) if isinstance(one, str) else one for path, one in files.items()}
    result = audit_guest(MemoryDisk(with_folders(nodes)), lambda detail, fraction: None)
    kept = [one for one in result.operations if KINDS.get(one.name) != "note"]
    return [(one.name, change.path, change.what) for one in kept for change in one.changes]


@pytest.mark.parametrize("files", CLEAN.values(), ids=CLEAN)
def test_nothing_is_reported_for_a_clean_image(files: dict[str, str | Node]) -> None:
    assert carried(files) == []


@pytest.mark.parametrize("files", CLEAN.values(), ids=CLEAN)
@pytest.mark.parametrize(
    "now",
    [
        {"/etc/machine-id": ""},
        {"/etc/machine-id": "\n"},
        {"/etc/machine-id": "uninitialized"},
        {"/etc/machine-id": "", "/var/lib/dbus/machine-id": ""},
        {"/etc/hostname": ""},
        {"/etc/hostname": "localhost.localdomain\n"},
        {"/etc/HOSTNAME": "localhost\n"},
        {"/etc/mailname": "localhost\n"},
        {"/etc/hosts": "127.0.0.1 localhost localhost.localdomain\n"},
        {"/var/log/messages": ""},
    ],
    ids=str,
)
def test_every_way_to_have_none_is_clean(files: dict[str, str | Node], now: dict[str, str]) -> None:
    assert carried(files | now) == []


@pytest.mark.parametrize("missing", ["/etc/machine-id", "/etc/hostname", "/var/lib/dbus/machine-id"])
def test_what_is_missing_is_clean(missing: str) -> None:
    assert carried({path: node for path, node in DEBIAN.items() if path != missing}) == []


@pytest.mark.parametrize(
    ("path", "content", "operation"),
    [
        ("/etc/machine-id", ID, "reset-machine-id"),
        ("/var/lib/dbus/machine-id", ID, "reset-machine-id"),
        ("/etc/hostname", "web01\n", "reset-hostname"),
        (
            "/etc/iscsi/initiatorname.iscsi",
            "InitiatorName=iqn.1993-08.org.debian:01:abcdef012345\n",
            "remove-storage-initiator-names",
        ),
        ("/etc/shadow-", "root:$6$abcdefgh$0123456789abcdef:1::::::\n", "remove-backup-files"),
        (
            "/etc/passwd-",
            "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/sh\n",
            "remove-backup-files",
        ),
        ("/var/log/wtmp", "x", "clean-logs"),
    ],
)
def test_what_belongs_to_one_machine_is_reported(path: str, content: str, operation: str) -> None:
    assert operation in [name for name, _, _ in carried(DEBIAN | {path: content})]


def test_house_rules_do_not_count_as_findings() -> None:
    assert [name for name in registry.HOUSE_RULES if registry.get(name).carries] == []
    assert not set(registry.HOUSE_RULES) & set(registry.TEMPLATE)
    assert registry.TEMPLATE[-1] == "trim-free-space"


def test_a_template_of_any_image_changes_no_setting() -> None:
    nodes = {path: Node("file", 0o644, one.encode()) if isinstance(one, str) else one for path, one in FEDORA.items()}
    disk = MemoryDisk(with_folders(nodes))
    from imagebuild.customise.runner import apply_all

    apply_all(disk, [registry.call(name) for name in registry.TEMPLATE], lambda detail, fraction: None)
    assert disk.tree["/etc/selinux/config"].content == b"SELINUX=enforcing\nSELINUXTYPE=targeted\n"
    assert "/etc/systemd/system/multi-user.target.wants/firewalld.service" in disk.tree
    apply_all(disk, [registry.call(name) for name in registry.HOUSE_RULES], lambda detail, fraction: None)
    assert b"SELINUX=disabled" in disk.tree["/etc/selinux/config"].content
    assert "/etc/systemd/system/multi-user.target.wants/firewalld.service" not in disk.tree
