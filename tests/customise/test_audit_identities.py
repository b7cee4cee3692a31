"""Which identities of a guest an audit collects, and where it finds them again."""

from __future__ import annotations

import gzip
import ipaddress
import re
import uuid
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.customise.audit import spellings
from imagebuild.customise.audit.identities import gather
from imagebuild.customise.guest import Guest
from imagebuild.customise.runner import audit_guest
from tests.operations.memory import MemoryDisk, Node, with_folders

ID = "0123456789abcdef0123456789abcdef"
ADDRESS = "52:54:00:ab:cd:ef"
KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIJnK2R8h5Yc2Rk0Z3o3mWqv5Jm0C0qRkq9n0m7nQb2yT"
SYSTEM: dict[str, str | Node] = {
    "/etc/os-release": "ID=debian\nVERSION_ID=13\n",
    "/etc/passwd": "root:x:0:0:root:/root:/bin/bash\nmail:x:8:8:mail:/var/mail:/usr/sbin/nologin\n",
    "/etc/machine-id": f"{ID}\n",
    "/etc/hostname": "web01.example.com\n",
    "/etc/network/interfaces": (
        f"iface eth0 inet static\n  address 192.0.2.17/24\n  gateway 192.0.2.1\n  hwaddress {ADDRESS}\n"
    ),
    "/etc/ssh/ssh_host_ed25519_key.pub": f"ssh-ed25519 {KEY} root@web01\n",
    "/var/lib/cloud/data/instance-id": "i-0a1b2c3d4e5f\n",
    "/etc/nvme/hostid": "6d2cd7f6-0001-4002-8003-000000000004\n",
    "/etc/iscsi/initiatorname.iscsi": "InitiatorName=iqn.1993-08.org.debian:01:abcdef012345\n",
    "/etc/lvm/devices/system.devices": "IDTYPE=sys_serial IDNAME=VB1234-5678 DEVNAME=/dev/vda3\n",
}


def disk(files: dict[str, str | Node]) -> MemoryDisk:
    nodes = {path: Node("file", 0o644, one.encode()) if isinstance(one, str) else one for path, one in files.items()}
    return MemoryDisk(with_folders(nodes))


def found(files: dict[str, str | Node], kind: str = "identities") -> list[tuple[str, str]]:
    result = audit_guest(disk(files), lambda detail, fraction: None)
    return [(change.path, change.what) for one in result.operations if one.name == kind for change in one.changes]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"id={ID}", "machine id"),
        (f"id={ID.upper()}", "machine id"),
        (f"id={uuid.UUID(ID)}", "machine id"),
        (f"unit dev-{str(uuid.UUID(ID)).replace('-', chr(92) + 'x2d')}.device", "machine id"),
        ("dmi 67452301-ab89-efcd-0123-456789abcdef", "machine id"),
        ("sha 9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f", None),
        (f"mac {ADDRESS}", f"hardware address {ADDRESS}"),
        ("mac 52-54-00-AB-CD-EF", f"hardware address {ADDRESS}"),
        ("mac 525400abcdef", f"hardware address {ADDRESS}"),
        ("mac 5254.00ab.cdef", f"hardware address {ADDRESS}"),
        ("mac 82;84;0;171;205;239;", f"hardware address {ADDRESS}"),
        ("duid 00:01:00:01:2a:2b:2c:2d:52:54:00:ab:cd:ef", f"hardware address {ADDRESS}"),
        ("ip 2001:db8::5054:ff:feab:cdef/64", f"hardware address {ADDRESS}"),
        ("ip fe80::5054:00ff:feab:cdef", f"hardware address {ADDRESS}"),
        (r'duid "\000\001RT\000\253\315\357"', f"hardware address {ADDRESS}"),
        ("mac 0525400abcdef", None),
        ("myhostname = web01.example.com", "hostname web01.example.com"),
        ("name: web01", "hostname web01"),
        ("name: web010", None),
        ("peer 192.0.2.17:80", "IP address 192.0.2.17"),
        ("peer 192.0.2.171", None),
        ("gateway 192.0.2.1", None),
        (f"web ssh-ed25519 {KEY}", "public SSH host key (ssh-ed25519)"),
        ("SSHFP 4 2 " + spellings.of_public_key(KEY)[4], "public SSH host key (ssh-ed25519)"),
        ("SHA256:" + spellings.of_public_key(KEY)[1], "public SSH host key (ssh-ed25519)"),
        ("MD5:" + spellings.of_public_key(KEY)[2], "public SSH host key (ssh-ed25519)"),
        ("instance i-0a1b2c3d4e5f", "cloud instance id"),
        ("host 6D2CD7F6-0001-4002-8003-000000000004", "NVMe host id"),
        ("acl iqn.1993-08.org.debian:01:abcdef012345", "iSCSI initiator name"),
        ("disk /dev/disk/by-id/virtio-VB1234-5678", "disk serial number VB1234-5678"),
    ],
)
def test_an_identity_is_found_in_every_spelling(text: str, what: str | None) -> None:
    hits = [
        hit for path, hit in found(SYSTEM | {"/srv/app/settings": f"first\n{text}\n"}) if path == "/srv/app/settings"
    ]
    assert (f"{what} in line 2" in hits) if what else hits == []


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256", "sha512"])
def test_a_hash_of_the_machine_id_is_found(name: str) -> None:
    import hashlib

    hashed = hashlib.new(name, f"{ID}\n".encode()).hexdigest()
    assert found(SYSTEM | {"/var/lib/app/id": hashed})[-1:] == [("/var/lib/app/id", "machine id in line 1")]


def test_names_and_targets_of_links_are_searched() -> None:
    hits = found(SYSTEM | {
        f"/home/ann/.config/pulse/{ID}-runtime": Node("symlink", 0o777, b"/nowhere"),
        f"/var/lib/app/{ADDRESS.replace(':', '-')}.json": "{}",
        "/srv/current": Node("symlink", 0o777, f"/srv/{ID}".encode()),
    })  # fmt: skip
    assert (f"/home/ann/.config/pulse/{ID}-runtime", "machine id in its name") in hits
    assert ("/var/lib/app/52-54-00-ab-cd-ef.json", f"hardware address {ADDRESS} in its name") in hits
    assert ("/srv/current", "machine id in the target of the link") in hits


def test_chosen_names_are_not_searched_for_in_binary_files() -> None:
    hits = found(SYSTEM | {"/var/lib/app/db": Node("file", 0o644, f"\0web01\0{ID}\0".encode())})
    assert [hit for hit in hits if hit[0] == "/var/lib/app/db"] == [("/var/lib/app/db", "machine id")]


def test_what_an_operation_removes_is_reported_once() -> None:
    result = audit_guest(disk(SYSTEM), lambda detail, fraction: None)
    named = [(one.name, change.path) for one in result.operations for change in one.changes]
    for path in ("/etc/machine-id", "/etc/hostname", "/etc/ssh/ssh_host_ed25519_key.pub"):
        assert len([one for one in named if one[1] == path]) == 1
    assert ("identities", "/etc/network/interfaces") in named  # the static address stays


@pytest.mark.parametrize(
    "name", ["localhost", "debian", "mail", "a1", "localhost.localdomain", "ubuntu.localdomain", "42"]
)
def test_a_neutral_name_is_not_searched_for(name: str) -> None:
    files = SYSTEM | {
        "/etc/hostname": f"{name}\n",
        "/srv/app/text": f"{name} {name}\n",
        "/etc/ssh/ssh_host_ed25519_key.pub": "",
    }
    assert [one.what for one in gather(Guest(disk(files))) if one.what.startswith("hostname")] == []


def test_a_common_word_as_a_name_is_reported_once_and_as_a_note() -> None:
    files = SYSTEM | {"/etc/hostname": "jupiter\n"} | {f"/srv/{at}": "to jupiter and beyond\n" for at in range(30)}
    assert [one for one in found(files) if "jupiter" in one[1]] == []
    assert [what for _, what in found(files, "limits")] == [
        "the hostname jupiter is a common word: its 30 occurrences are not listed"
    ]


def test_boot_entries_are_reported_by_the_operation_that_renames_them() -> None:
    entry = f"/boot/loader/entries/{ID}-6.12.conf"
    boot = {entry: "title Linux\n", "/etc/kernel/entry-token": f"{ID}\n"}
    result = audit_guest(disk(SYSTEM | boot), lambda detail, fraction: None)
    named = [(one.name, change.path) for one in result.operations for change in one.changes]
    assert [name for name, path in named if path == entry] == ["reset-machine-id"]
    empty = {"/etc/os-release": "ID=fedora\n", "/etc/machine-id": "", **boot}
    assert found(empty) == []
    assert found(empty | {"/var/lib/app/id": ID}) == [("/var/lib/app/id", "machine id in line 1")]


def test_folders_that_links_lead_to_are_searched() -> None:
    hits = found(SYSTEM | {
        "/opt": Node("symlink", 0o777, b"/usr/opt"), "/usr/opt/app/id": ID,
        "/data/x": "y", "/usr/share/id": ID,
    })  # fmt: skip
    assert ("/usr/share/id", "machine id in line 1") not in hits


@given(st.binary(min_size=16, max_size=16))
def test_each_spelling_of_a_machine_id_is_its_own(value: bytes) -> None:
    texts = spellings.of_machine_id(value.hex())
    assert len(texts) == len(set(texts))
    assert str(uuid.UUID(bytes=value)) in texts
    assert str(uuid.UUID(bytes_le=value)) in texts


@given(st.binary(min_size=6, max_size=6))
def test_an_address_is_in_the_interface_identifier_derived_from_it(value: bytes) -> None:
    eui64 = bytes([value[0] ^ 2, *value[1:3], 0xFF, 0xFE, *value[3:]])
    for prefix in ("fe800000000000000000", "20010db8000100020003"):
        address = ipaddress.IPv6Address(bytes.fromhex(prefix[:16]) + eui64)
        texts = spellings.of_address(value)
        assert any(text in address.exploded for text in texts)
        if "::" not in address.compressed.split(":", 4)[-1]:
            assert any(text in address.compressed for text in texts)


@given(st.binary(min_size=6, max_size=6))
def test_octal_escapes_are_undone_to_the_address(value: bytes) -> None:
    quoted = spellings.of_address(value)[-1]
    plain = re.sub(r"\\([0-7]{3})|\\(.)|(.)", lambda one: chr(int(one[1], 8)) if one[1] else one[2] or one[3], quoted)
    assert plain.encode("latin-1") == value


def newc(files: dict[str, tuple[int, bytes]]) -> bytes:
    """A cpio archive in the format of the kernel's "initramfs buffer format"."""
    archive = b""
    for name, (mode, content) in (files | {"TRAILER!!!": (0, b"")}).items():
        fields = [0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        archive += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        archive += bytes(-len(archive) % 4) + content
        archive += bytes(-len(archive) % 4)
    return archive + bytes(-len(archive) % 512)


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress], ids=["plain", "gzip", "zstd"]
)
def test_the_texts_in_an_initramfs_are_searched(pack: Callable[[bytes], bytes]) -> None:
    microcode = newc({"kernel/x86/microcode/AuthenticAMD.bin": (0o100644, b"\0" * 64)})
    files = {
        "etc/machine-id": (0o100444, f"{ID}\n".encode()),
        "etc/hostname": (0o100644, b"web01.example.com\n"),
        f"var/{ID}": (0o120777, b"/nowhere"),
        "etc/link": (0o120777, f"/x/{ID}".encode()),
        "bin/busybox": (0o100755, b"\0ELF web01.example.com\0"),
        "etc/key.pem": (0o100600, b"-----BEGIN PRIVATE KEY-----\nMIIE\n"),
    }
    image = microcode + pack(newc(files))
    path = "/boot/initrd.img-6.12"
    audited = SYSTEM | {path: Node("file", 0o600, image)}
    hits = [what for place, what in found(audited) if place == path]
    assert "machine id in line 1 of /etc/machine-id in the initramfs" in hits
    assert "hostname web01.example.com in line 1 of /etc/hostname in the initramfs" in hits
    assert f"machine id in the name of /var/{ID} in the initramfs" in hits
    assert "machine id in line 1 of /etc/link in the initramfs" in hits
    assert not any("busybox" in hit for hit in hits)
    assert [what for place, what in found(audited, "private-keys") if place == path] == [
        "private key in line 1 of /etc/key.pem in the initramfs"
    ]


def test_an_initramfs_that_cannot_be_unpacked_is_reported() -> None:
    hits = found(SYSTEM | {"/boot/initrd.img-6.12": Node("file", 0o600, b"\x1f\x8b damaged")}, "limits")
    assert [path for path, _ in hits] == ["/boot/initrd.img-6.12"]
    assert "not inspected" in hits[0][1]
