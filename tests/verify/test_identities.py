"""What two clones share, and what only looks as if they shared it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import random
import subprocess
import tarfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.verify import identities
from imagebuild.verify.check import NotCheckable, Printed
from imagebuild.verify.identities import PROBES, CloneState, shared, state

RANDOM = random.Random(1)
SECRET = RANDOM.randbytes(32)
UUID = "3f8e2a64-9d1c-4b7a-8e05-d6c21f9a7b43"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"


def packed(files: Mapping[str, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def printed(archive: bytes) -> str:
    """As gzip -1 | base64 print it."""
    return base64.encodebytes(gzip.compress(archive, 1)).decode()


def seen(
    known: Mapping[str, str] | None = None, archive: bytes = bytes(10240), hostname: str = "localhost", values: str = ""
) -> dict[str, Printed]:
    lines = [f"{digest}  {path}" for path, digest in (known or {"/etc/machine-id": "0" * 64}).items()]
    return {
        "identities": Printed("\n".join(lines), 0),
        "hostname": Printed(f"{hostname}\n", 0),
        "values of the image": Printed(values, 0),
        "changed files": Printed(printed(archive), 0),
    }


def clone(files: Mapping[str, bytes] | None = None, **more: object) -> CloneState:
    return replace(CloneState({}, files or {}, "localhost"), **more)  # type: ignore[arg-type]


def test_the_state_of_a_clone() -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    archive = packed({"etc/hostname": b"web\n", "./var/lib/x": b"1", "/etc/y": b"2", "var/" + "long/" * 40 + "z": b"3"})
    found = state(seen({"/etc/machine-id": digest}, archive, "web", f"{UUID.upper()} PTUUID\n"), {"DHCPv6 DUID": "00"})
    assert found == CloneState(
        {"/etc/machine-id": digest},
        {"/etc/hostname": b"web\n", "/./var/lib/x": b"1", "/etc/y": b"2", "/var/" + "long/" * 40 + "z": b"3"},
        "web",
        {"DHCPv6 DUID": "00"},
        frozenset({UUID.encode()}),
    )


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_archives_of_several_formats(form: int) -> None:
    path = "var/" + "a" * 80 + "/" + "b" * 60
    assert state(seen(archive=packed({path: b"x"}, form)), {}).changed == {f"/{path}": b"x"}


def test_only_regular_files_are_read() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo(f"etc/{kind.decode()}")
            member.type, member.linkname = kind, "/etc/shadow"
            archive.addfile(member)
        large = tarfile.TarInfo("var/large")
        large.size = identities._LARGEST + 1
        archive.addfile(large, io.BytesIO(bytes(large.size)))
        for name in ("../../etc/shadow", "/etc//passwd", "etc/a\nb"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    found = state(seen(archive=made.getvalue()), {}).changed
    assert found == {"/../../etc/shadow": b"x", "/etc//passwd": b"x", "/etc/a\nb": b"x"}


@pytest.mark.parametrize("text", ["", "no base64!", "AAAA", base64.b64encode(b"BZh91AY").decode(), "H4sIAAAAAAAA"])
def test_what_is_no_archive_is_not_checkable(text: str) -> None:
    with pytest.raises(NotCheckable, match="changed could not be read"):
        state({**seen(), "changed files": Printed(text, 0)}, {})


@pytest.mark.parametrize("text", ["", "sha256sum: not found", f"{'0' * 63}  /etc/machine-id", f"{'0' * 64}  relative"])
def test_no_digests_are_not_checkable(text: str) -> None:
    with pytest.raises(NotCheckable, match="identities of the clones could not be read"):
        state({**seen(), "identities": Printed(text, 1)}, {})


def test_a_damaged_archive_has_the_files_before_the_damage() -> None:
    archive = packed({"etc/a": b"x" * 600, "etc/b": b"y" * 600})
    assert set(state(seen(archive=archive[:2000]), {}).changed) == {"/etc/a"}
    whole = "".join(printed(packed({"etc/a": b"x", "etc/b": SECRET * 100})).split())
    cut = whole[: len(whole) // 8 * 4]
    assert set(state({**seen(), "changed files": Printed(cut, 0)}, {}).changed) == {"/etc/a"}


def test_an_archive_that_grows_is_read_within_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identities, "_ARCHIVE", 1 << 20)
    bomb = packed({"etc/a": b"x"})[:1024] + packed({f"var/{number}": bytes(200 << 10) for number in range(50)})
    found = state(seen(archive=bomb), {}).changed
    assert found["/etc/a"] == b"x"
    assert len(found) == 6


def announced(size: bytes, kind: bytes = b"0", name: bytes = b"etc/x") -> bytes:
    header = bytearray(512)
    header[: len(name)], header[124:136], header[156:157] = name, size.ljust(12, b"\0"), kind
    return bytes(header)


@pytest.mark.parametrize("kind", [b"0", b"L", b"K", b"x", b"g", b"S", b"V"])
@pytest.mark.parametrize("size", [b"77777777777", b"-1", b"abc", b"", b"\x80" + b"\xff" * 11, b"0_1", b"7" * 12])
def test_hostile_headers(kind: bytes, size: bytes) -> None:
    for archive in (announced(size, kind), announced(size, kind) * 3000, announced(size, kind) + b"9" * 100_000):
        state(seen(archive=archive), {})


@given(st.binary(max_size=3000), st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=30))
def test_hostile_archives(more: bytes, changes: list[tuple[int, int]]) -> None:
    archive = bytearray(packed({"etc/a": SECRET, "var/" + "b" * 120: b"text\n"}) + more)
    for at, value in changes:
        archive[at] = value
    found = state(seen(archive=bytes(archive)), {}).changed
    assert all(path.startswith("/") and len(content) <= identities._LARGEST for path, content in found.items())
    list(shared(clone(found), clone(found)))
    for text in (more.decode("latin-1"), base64.b64encode(more).decode()):
        with suppress(NotCheckable):
            state({**seen(), "changed files": Printed(text, 0)}, {})


# What is shared.


def test_clones_of_a_good_image_share_nothing() -> None:
    first = clone({"/etc/x": RANDOM.randbytes(32)}, known={"/etc/machine-id": "a"}, sent={"DHCPv6 DUID": "01"})
    second = clone({"/etc/x": RANDOM.randbytes(32)}, known={"/etc/machine-id": "b"}, sent={"DHCPv6 DUID": "02"})
    assert list(shared(first, second)) == []


PATHS = {
    "machine id": "/etc/machine-id",
    "D-Bus machine id": "/var/lib/dbus/machine-id",
    "SSH host key": "/etc/ssh/ssh_host_ed25519_key",
    "random seed": "/var/lib/systemd/random-seed",
    "key of systemd-creds": "/var/lib/systemd/credential.secret",
    "DHCP DUID": "/var/lib/NetworkManager/dhclient-1234-eth0-6.lease",
    "dhcpcd secret": "/var/lib/dhcpcd5/secret",
    "iSCSI initiator name": "/etc/iscsi/initiatorname.iscsi",
    "NVMe host NQN": "/etc/nvme/hostnqn",
    "NVMe host id": "/etc/nvme/hostid",
    "host id": "/etc/hostid",
    "NetworkManager secret": "/var/lib/NetworkManager/secret_key",
    "cloud-init instance": "/var/lib/cloud/data/instance-id",
    "snakeoil key": "/etc/ssl/private/ssl-cert-snakeoil.key",
}


@pytest.mark.parametrize("kind", identities.KNOWN)
def test_each_known_identity(kind: str) -> None:
    path = PATHS[kind]
    one = clone(known={path: "a", "/etc/other": "b"})
    other = clone(known={path: "a", "/etc/other": "c"})
    assert list(shared(one, other)) == [f"{path}: both clones have the same {kind}"]


def test_identifiers_that_were_sent() -> None:
    one, other = clone(sent={"DHCPv6 DUID": "0001", "x": "1"}), clone(sent={"DHCPv6 DUID": "0001", "y": "1"})
    assert list(shared(one, other)) == ["both clones send the same DHCPv6 DUID, 0001"]


def test_hostnames() -> None:
    web = clone(hostname="web")
    assert list(shared(web, web)) == ["both clones have the hostname web"]
    assert list(shared(web, web, "web")) == []
    assert list(shared(web, clone(hostname="web2"))) == []
    for name in ("localhost", "(none)", ""):
        assert list(shared(clone(hostname=name), clone(hostname=name))) == []


SHARED = {
    "random bytes": SECRET,
    "a short random value": RANDOM.randbytes(16),
    "a UUID in a text": f"# made at first boot\nid={UUID}\n".encode(),
    "a UUID in a text that is not ASCII": f"# für diesen Rechner – ☃\nid={UUID}\n".encode(),
    "a UUID in a path": f"exec /usr/bin/x /dev/disk/by-uuid/{UUID}\n".encode(),
    "a variable": f"TOKEN_OF_THIS_MACHINE={SECRET.hex()}\n".encode(),
    "a private key": f"{KEY}AAAA\n-----END OPENSSH PRIVATE KEY-----\n".encode(),
    "hexadecimal": SECRET.hex().encode(),
    "base64": base64.b64encode(SECRET),
    "an attribute": b'{"token": "Zm9vYmFyMTIzNDU2Nzg5MEFCQ0RFRkdISktM"}',
}


@pytest.mark.parametrize("content", SHARED.values(), ids=SHARED)
def test_random_values_in_any_file(content: bytes) -> None:
    one, other = clone({"/etc/x/token": content}), clone({"/etc/x/token": content})
    sentence = "/etc/x/token: both clones hold the same random-looking value, written at their first boot"
    assert list(shared(one, other)) == [sentence]
    moved = clone({"/var/lib/y": content})
    assert list(shared(one, moved)) == [f"{sentence}, in /var/lib/y of the other"]


RESOLV = b"# Generated by NetworkManager\nsearch a3f8e2a649d1c4b7a8e05.example\nnameserver 10.0.2.3\n"
EQUAL = {
    "resolv.conf": {"/etc/resolv.conf": RESOLV},
    "ld.so.cache": {"/etc/ld.so.cache": RANDOM.randbytes(4000)},
    "passwords of the recipe": {
        path: b"root:$6$Qm3vXc81ZtYw0pLr$" + base64.b64encode(SECRET) + b":20000:0:99999:7:::\n"
        for path in ("/etc/shadow", "/etc/shadow-")
    },
    "compressed": {"/var/lib/x.gz": gzip.compress(SECRET * 3), "/var/lib/y.zst": b"\x28\xb5\x2f\xfd" + SECRET},
    "a log": {"/var/log/messages": b"kernel: Loaded X.509 cert 'CA: 6ccece7e4c6c0d1f6149f3dd27dfcc5cbb419ea1'\n"},
    "names of this card": {"/etc/network/x": b"iface enp1s0 enx525400123456 52:54:00:12:34:56\n"},
    "words and numbers": {
        "/etc/x": b"NetworkManager-wait-online.service 1234567890123456 aaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
    },
    "paths": {"/etc/x": b"/usr/lib/systemd/system/multi-user.target.wants/sshd.service\n"},
    "a UUID of a name": {"/etc/NetworkManager/x": b"uuid=1dd9a779-d327-56e1-8454-c65e2556c12c\n"},
    "zeroes": {"/var/lib/x": bytes(4096)},
    "a table": {"/var/lib/x": bytes(range(256)) * 4},
    "little": {"/var/lib/x": b"\xff\x00\x01"},
    "text that is not ASCII": {"/etc/x": "Grüße aus dem Gästesystem – schön.\n".encode() * 3},
}


@pytest.mark.parametrize("files", EQUAL.values(), ids=EQUAL)
def test_equal_files_that_are_no_identity(files: dict[str, bytes]) -> None:
    assert list(shared(clone(files), clone(files))) == []


def test_values_of_the_image_are_no_identity() -> None:
    values = seen(values=f"{UUID} {UUID[:-1]}4\nBOOT_IMAGE=/vmlinuz root=UUID={UUID} ro\n")
    for text in (f"root=UUID={UUID}", UUID.upper(), f"{UUID[:-1]}4"):
        one = replace(state(values, {}), changed={"/etc/x": text.encode()})
        assert list(shared(one, replace(one, known={}))) == []
        unknown = clone({"/etc/x": text.encode()})
        assert len(list(shared(unknown, unknown))) == 1


def test_different_keys_have_equal_headers() -> None:
    one, other = (f"{KEY}{line}\n-----END OPENSSH PRIVATE KEY-----\n".encode() for line in ("AAAA", "BBBB"))
    assert list(shared(clone({"/etc/k": one}), clone({"/etc/k": other}))) == []
    both = clone({"/etc/k": one + b"\n" + other})
    assert len(list(shared(both, clone({"/etc/k": other})))) == 1


def test_a_known_identity_is_reported_once() -> None:
    one = clone({"/etc/machine-id": SECRET.hex().encode()}, known={"/etc/machine-id": "a"})
    assert list(shared(one, one)) == ["/etc/machine-id: both clones have the same machine id"]


@pytest.mark.timeout(120)  # a pattern that begins again and again takes longer
@pytest.mark.parametrize(
    "content",
    [
        b"-----BEGIN A-----" * 12_000,
        b"-----BEGIN A-----\n-----END A-----" * 6000,
        b"-----BEGIN " + b"A" * 200_000,
        b"a" * 250_000,
        b"0123456789abcdef" * 15_000,
        b"0-" * 120_000,
    ],
)
def test_a_hostile_file_is_searched_once(content: bytes) -> None:
    found = list(shared(clone({"/etc/x": content}), clone({"/etc/x": content})))
    assert len(found) <= 1


# The probes.


@pytest.mark.parametrize("name", PROBES)
def test_probes_are_posix_shell(name: str) -> None:
    subprocess.run(["sh", "-n", "-c", PROBES[name]], check=True, timeout=20)


def probed(root: Path) -> dict[str, Printed]:
    """What the probes print where /etc and /var are below ``root``."""
    found = {}
    for name, command in PROBES.items():
        command = command.replace("$((begin - 2))", str(int(time.time()) - 60))
        for folder in ("/etc", "/var", "/boot"):
            command = command.replace(f" {folder}/", f" {root}{folder}/").replace(f" {folder} ", f" {root}{folder} ")
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=60)
        text = done.stdout.replace(str(root), "")
        found[name] = Printed(text.removesuffix("\n"), done.returncode)
    return found


def test_probes_in_a_real_folder(tmp_path: Path) -> None:
    files = {
        "etc/machine-id": b"00\n",
        "etc/ssh/ssh_host_rsa_key": b"key",
        "etc/ssh/ssh_host_rsa_key.pub": b"pub",
        "etc/empty": b"",
        "etc/with space\nand line": b"odd",
        "var/lib/dhcpcd5/duid": b"00:01",
        "var/log/journal/x": b"no",
        "var/large": bytes(300 << 10),
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "var/link").symlink_to("/etc/shadow")
    (tmp_path / "etc/hostid").touch()
    found = state(probed(tmp_path), {})
    assert dict(found.known) == {
        f"/{name}": hashlib.sha256(files[name]).hexdigest()
        for name in ("etc/machine-id", "etc/ssh/ssh_host_rsa_key", "var/lib/dhcpcd5/duid")
    }
    root = str(tmp_path)
    changed = {path.removeprefix(root): content for path, content in found.changed.items()}
    expected = [name for name in files if name not in ("etc/empty", "var/log/journal/x", "var/large")]
    # The path of the journal is the real one in the command.
    assert {path for path in changed if "journal" not in path} == {f"/{name}" for name in expected}
    assert all(changed[f"/{name}"] == files[name] for name in expected)
    assert found.hostname == Path("/proc/sys/kernel/hostname").read_text().strip()


def test_probes_where_nothing_has_changed(tmp_path: Path) -> None:
    for name in ("etc", "var", "boot"):
        (tmp_path / name).mkdir()
    seen_here = probed(tmp_path)
    assert seen_here["identities"] == Printed("", 0)
    assert dict(identities._files(seen_here["changed files"].text)) == {}
