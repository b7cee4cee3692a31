"""A search of a guest's files: the appliance's programs and the guest in memory find the same
files."""

from __future__ import annotations

import pytest

from imagebuild.customise.audit import credentials, private_keys, rules
from imagebuild.guest.text_search import LARGEST
from tests.operations.memory import MemoryDisk, Node, with_folders
from tests.operations.real import Scratch

TEXTS = [b"^id=[0-9]+$", rules.literal(b"a.b*c"), b"^" + rules.literal(b"\xfe\xed\xfe\xed"), b"x{3,}|y{3,}"]
NAME = "[^/]*secret[^/]*|.*[.]key"
SKIP = ["/srv/layers/*/rootfs"]
TREE = with_folders({
    "/etc/one": Node("file", 0o644, b"first\nid=12\n"),
    "/etc/two": Node("file", 0o644, b"the id=12\n"),
    "/etc/upper": Node("file", 0o644, b"ID=12\n"),
    "/etc/windows": Node("file", 0o644, b"id=12\r\n"),
    "/etc/literal": Node("file", 0o644, b"A.B*C"),
    "/etc/no-literal": Node("file", 0o644, b"axbbbc"),
    "/etc/binary": Node("file", 0o600, b"\xfe\xed\xfe\xed\0\0"),
    "/etc/later": Node("file", 0o600, b"\0\xfe\xed\xfe\xed"),
    "/etc/nul": Node("file", 0o600, b"\0\nid=3\n\0"),
    "/etc/a file\nwith 'odd' $(name)": Node("file", 0o600, b"yyyy"),
    "/etc/-f": Node("file", 0o600, b"xxx"),
    "/etc/empty": Node("file", 0o600),
    "/etc/Secrets/inner": Node("file", 0o600, b"z"),
    "/etc/link.key": Node("symlink", 0o777, b"../srv/data"),
    "/etc/absolute": Node("symlink", 0o777, b"/etc/passwd"),
    "/srv/data/xxx": Node("file", 0o600, b"xxx"),
    "/srv/layers/a/rootfs/xxx": Node("file", 0o600, b"xxx"),
    "/srv/layers/a/xxx": Node("file", 0o600, b"xxx"),
    "/srv/large": Node("file", 0o600, b"xxx" + bytes(LARGEST)),
    "/srv/largest": Node("file", 0o600, b"xxx" + bytes(LARGEST - 3)),
    "/opt/xxx": Node("file", 0o600, b"xxx"),
    "/etc/umlaut-ä": Node("file", 0o600, b"xxx"),
})  # fmt: skip


def test_in_memory() -> None:
    found = MemoryDisk(TREE).search(["/etc", "/srv"], TEXTS, NAME, SKIP)
    assert set(found.contents) == {
        "/etc/one", "/etc/upper", "/etc/literal", "/etc/binary", "/etc/nul", "/etc/a file\nwith 'odd' $(name)",
        "/etc/-f",
        "/srv/data/xxx", "/srv/layers/a/xxx", "/srv/largest", "/etc/umlaut-ä",
    }  # fmt: skip
    assert set(found.names) == {"/etc/Secrets", "/etc/link.key"}
    assert set(found.links) == {("/etc/link.key", "../srv/data"), ("/etc/absolute", "/etc/passwd")}
    assert found.complete


@pytest.mark.guestfs
def test_the_appliance_finds_the_same(ext4: Scratch) -> None:
    with ext4.filled(TREE) as disk:
        for folders in (["/etc", "/srv"], ["/opt"], []):
            expected = MemoryDisk(TREE).search(folders, TEXTS, NAME, SKIP)
            found = disk.search(folders, TEXTS, NAME, SKIP)
            assert sorted(found.contents) == sorted(expected.contents)
            assert sorted(found.names) == sorted(expected.names)
            assert sorted(found.links) == sorted(expected.links)
            assert found.complete


@pytest.mark.guestfs
def test_the_appliance_reads_every_rule_as_python_does(ext4: Scratch) -> None:
    """One file for each rule that is applied to all files: a line that it matches, made from its
    own examples."""
    patterns = [rule.text for rule in (*private_keys.RULES, *credentials.RULES) if not rule.name]
    lines = [
        b"-----BEGIN RSA PRIVATE KEY-----", b"PrivateKey = aGVsbG9oZWxsb2hlbGxvaGVsbG9oZWxsb2hlbGxvMTI=",
        b"\xfe\xed\xfe\xed",
        b"aws_secret_access_key=abc", b"node.session.auth.password = s3cret", b"root:$6$abcdefgh$0123456789", b"https://a:b@c/d",
        b"\tsecret \"q1w2e3r4t5y6u7i8=\";", b"nothing of the kind", b"# psk=x", b"{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=",
        b"password s3cret",
        b"export API_TOKEN=abcdef", b"\x30\x82\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0", b"rootpw x",
        b"Environment=A_TOKEN=abc",
    ]  # fmt: skip
    tree = with_folders({f"/etc/{at}": Node("file", 0o644, line) for at, line in enumerate(lines)})
    with ext4.filled(tree) as disk:
        found = disk.search(["/etc"], patterns, "nothing", [])
        assert sorted(found.contents) == sorted(MemoryDisk(tree).search(["/etc"], patterns, "nothing", []).contents)
        assert "/etc/8" not in found.contents
        assert "/etc/9" not in found.contents  # a comment does not begin with the key
        assert len(found.contents) == len(lines) - 2
