"""Signing artifacts: with keys in files and variables, in an SSH agent, and again and again."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_curve_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from google.protobuf.json_format import Parse
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from securesystemslib.dsse import Envelope

from imagebuild.errors import ImageBuildError, UsageError
from imagebuild.files import sha256
from imagebuild.trust import signers
from imagebuild.trust.attesting import attest, attested
from imagebuild.trust.checking import NotTrusted, check
from imagebuild.trust.keys import public
from tests.gpg_key import signer as gpg_signer
from tests.trust.signed import COMMIT, artifact, key_pair, trust


def test_public_libraries_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    entry = key_pair(folder, "one")
    made = artifact(tmp_path / "artifacts")
    path = attest(made, trust(folder, "one", entry, builder_id="https://ci.example.org/"), folder)
    found = Envelope.from_dict(json.loads(path.read_text()))
    key = public(entry["key"], "one", folder).key
    assert key is not None
    assert list(found.verify([key], 1)) == [key.keyid]
    message = Parse(found.payload, StatementMessage())
    Statement.copy_from_pb(message).validate()
    assert {one.name: dict(one.digest) for one in message.subject} == {
        file.name: {"sha256": sha256(file)}
        for file in made.folder.iterdir()
        if file.name not in ("SHA256SUMS", "provenance.intoto.json")
    }
    predicate = Parse(json.dumps(json.loads(found.payload)["predicate"]), Provenance())
    assert predicate.run_details.builder.id == "https://ci.example.org/"
    assert predicate.run_details.metadata.finished_on.seconds == 1795946520
    commit, archive = predicate.build_definition.resolved_dependencies
    assert dict(commit.digest) == {"gitCommit": COMMIT}
    assert (archive.name, dict(archive.digest)) == ("root archive", {"sha256": "a" * 64})


def test_what_is_signed_stays(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    section = trust(folder, "one", key_pair(folder, "one"))
    made = artifact(tmp_path / "artifacts")
    path = attest(made, section, folder)
    before = path.stat()
    assert attested(made, section, folder).written == ()
    after = path.stat()  # without the time of the last access
    assert (after.st_ino, after.st_mtime_ns, after.st_mode) == (before.st_ino, before.st_mtime_ns, before.st_mode)
    assert stat.S_IMODE(before.st_mode) == 0o644


def test_a_new_statement_replaces_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    keys = [key_pair(folder, name) for name in ("one", "two")]
    made = artifact(tmp_path / "artifacts")
    path = attest(made, trust(folder, "one", *keys), folder)
    attest(made, trust(folder, "two", *keys), folder)
    assert len(json.loads(path.read_text())["signatures"]) == 2
    attest(made, trust(folder, "two", *keys, builder_id="urn:other"), folder)
    assert len(json.loads(path.read_text())["signatures"]) == 1


def test_keys_on_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = artifact(tmp_path / "artifacts")
    for curve in (SECP256R1(), SECP384R1()):
        private = new_curve_key(curve)
        public_form = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / "key.pub").write_bytes(public_form)
        form = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        monkeypatch.setenv("SIGNING_KEY", form.decode())
        section = trust(tmp_path, "", {"name": "c", "key": "key.pub"}, sign={"key": {"env": "SIGNING_KEY"}})
        attest(made, section, tmp_path)
        assert [one.name for one in check(made, section, tmp_path).signed] == ["c"]


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o602, 0o620])
def test_a_key_that_others_may_read_or_change_signs_nothing(tmp_path: Path, mode: int) -> None:
    section = trust(tmp_path, "one", key_pair(tmp_path, "one"))
    made = artifact(tmp_path / "artifacts")
    (tmp_path / "one.pem").chmod(mode)
    with pytest.raises(UsageError, match=f"its mode is {mode:04o}; nothing was signed") as raised:
        attest(made, section, tmp_path)
    assert raised.value.hint is not None
    words = raised.value.hint.partition(";")[0].split()
    assert words[:2] == ["chmod", "600"]
    Path(words[2]).chmod(0o600)
    attest(made, section, tmp_path)


def test_the_file_of_a_passphrase_is_a_secret_too(tmp_path: Path) -> None:
    entry = key_pair(tmp_path, "one")
    (tmp_path / "word").write_text("word")
    (tmp_path / "word").chmod(0o644)
    sign: dict[str, Any] = {"key": {"file": "one.pem"}, "passphrase": {"file": "word"}}
    with pytest.raises(UsageError, match=r"word, which is secret: its mode is 0644"):
        attest(artifact(tmp_path / "artifacts"), trust(tmp_path, "", entry, sign=sign), tmp_path)


def test_a_key_with_a_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = key_pair(tmp_path, "one")
    private = load_pem_private_key((tmp_path / "one.pem").read_bytes(), None)
    content = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    (tmp_path / "key").write_bytes(content)
    (tmp_path / "key").chmod(0o600)
    made = artifact(tmp_path / "artifacts")
    sign: dict[str, Any] = {"key": {"file": "key"}}
    with pytest.raises(UsageError) as raised:
        attest(made, trust(tmp_path, "", entry, sign=sign), tmp_path)
    assert raised.value.hint == "it is encrypted: set trust.sign.passphrase"
    sign["passphrase"] = {"env": "WORD"}
    monkeypatch.setenv("WORD", "wrong")
    with pytest.raises(UsageError, match="cannot be used"):
        attest(made, trust(tmp_path, "", entry, sign=sign), tmp_path)
    monkeypatch.setenv("WORD", "word")
    attest(made, trust(tmp_path, "", entry, sign=sign), tmp_path)
    assert check(made, trust(tmp_path, "", entry), tmp_path)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A real SSH agent on a socket of its own, with the keys ed25519 and ecdsa of the folder."""
    path = tmp_path / "agent.sock"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # it listens
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    for kind in ("ed25519", "ecdsa"):
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", tmp_path / kind], check=True)
        subprocess.run(["ssh-add", "-q", tmp_path / kind], check=True)
        (tmp_path / kind).unlink()
    yield tmp_path
    process.terminate()
    process.communicate()


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_key_in_an_ssh_agent(agent: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = artifact(agent / "artifacts")
    section = trust(
        agent, "", {"name": kind, "key": f"{kind}.pub"},
        sign={"agent": (agent / f"{kind}.pub").read_text().strip()}, sums={"ssh": f"{kind}.pub"},
    )  # fmt: skip
    assert attested(made, section, agent).written == ("provenance.intoto.json", "SHA256SUMS.sig")
    assert attested(made, section, agent).written == ()
    assert [(one.file, one.key, one.problem) for one in check(made, section, agent).sums] == [
        ("SHA256SUMS.sig", kind, "")
    ]
    (made.folder / "provenance.intoto.json").unlink()
    subprocess.run(["ssh-add", "-q", "-D"], check=True)
    with pytest.raises(ImageBuildError, match="the SSH agent does not sign with the key"):
        attest(made, section, agent)
    monkeypatch.delenv("SSH_AUTH_SOCK")
    with pytest.raises(ImageBuildError, match="SSH_AUTH_SOCK is not set"):
        attest(made, section, agent)


def test_sha256sums_signed_by_ssh_keygen(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    one, two = key_pair(folder, "one"), key_pair(folder, "two")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "ssh"], check=True)
    ssh = {"name": "ssh", "key": "ssh.pub"}
    made = artifact(tmp_path / "artifacts")
    section = trust(folder, "one", one, ssh, sums={"ssh": "ssh"})
    attest(made, section, folder)
    found = check(made, section, folder)
    assert [(sums.file, sums.key) for sums in found.sums] == [("SHA256SUMS.sig", "ssh")]
    with pytest.raises(NotTrusted, match=r"SHA256SUMS is not signed with an accepted key: SHA256SUMS\.sig: it is no"):
        check(made, trust(folder, "one", one, two, sums={"ssh": "ssh"}), folder)
    expired = {**ssh, "expires": "2020-01-01"}
    with pytest.raises(NotTrusted, match=r"SHA256SUMS.sig: the key ssh expired on 2020-01-01"):
        check(made, trust(folder, "one", one, expired, sums={"ssh": "ssh"}), folder)
    (made.folder / "SHA256SUMS.sig").unlink()
    with pytest.raises(NotTrusted, match=r"there is no SHA256SUMS\.sig"):
        check(made, section, folder)


@pytest.mark.seconds
def test_sha256sums_signed_by_gpg(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    one = key_pair(folder, "one")
    with gpg_signer(folder / "gnupg", "images@example.org") as ours, gpg_signer(tmp_path / "other", "x@y.org") as other:
        ours.keys(folder / "gpg.asc", armoured=True)
        other.keys(folder / "other.asc", armoured=True)
        made = artifact(tmp_path / "artifacts")
        sums = {"gpg": "images@example.org", "gpg_home": "gnupg"}
        entry = {"name": "pgp", "key": "gpg.asc"}
        section = trust(folder, "one", one, entry, sums=sums)
        assert attested(made, section, folder).written == ("provenance.intoto.json", "SHA256SUMS.asc")
        assert attested(made, section, folder).written == ()
        assert [(found.file, found.key) for found in check(made, section, folder).sums] == [("SHA256SUMS.asc", "pgp")]
        # only OpenPGP keys: the signature of SHA256SUMS is what is checked
        alone = check(made, trust(folder, "", entry), folder)
        assert alone.statement is None
        assert "web.qcow2" in alone.files
        with pytest.raises(NotTrusted, match=r"SHA256SUMS.asc: it is signed with the key [0-9A-F]+, which is not in"):
            check(made, trust(folder, "", {"name": "o", "key": "other.asc"}), folder)
        (made.folder / "SHA256SUMS").write_text((made.folder / "SHA256SUMS").read_text() + f"{'0' * 64}  more\n")
        with pytest.raises(NotTrusted, match=r"SHA256SUMS.asc: its signature is invalid: the file was changed"):
            check(made, trust(folder, "", entry), folder)


def test_what_is_not_signed(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    one, two = key_pair(folder, "one"), key_pair(folder, "two")
    made = artifact(tmp_path / "artifacts")
    refused = {
        "trust.sign is missing": trust(folder, "", one),
        "is not among trust.keys": trust(folder, "one", two),
        "the key one expired on 2020-01-01": trust(folder, "one", {**one, "expires": "2020-01-01"}),
        "no-such.pem cannot be read": trust(folder, "no-such", one),
        "are the same key": trust(folder, "one", one, {**one, "name": "again"}),
        "there is no file": trust(folder, "one", {"name": "x", "key": "x.pub"}),
        "is a private key": trust(folder, "one", {"name": "x", "key": "one.pem"}),
    }
    for words, section in refused.items():
        with pytest.raises(UsageError) as raised:
            attest(made, section, folder)
        assert words in raised.value.message
    (made.folder / "web.xml").write_text("changed")
    with pytest.raises(ImageBuildError, match=r"web\.xml is not what SHA256SUMS says; nothing was signed"):
        attest(made, trust(folder, "one", one), folder)
    assert not (made.folder / "provenance.intoto.json").exists()


def test_rsa_is_refused(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", tmp_path / "rsa"], check=True)
    made = artifact(tmp_path / "artifacts")
    with pytest.raises(UsageError, match=r"the key r in .*rsa\.pub cannot be used"):
        attest(made, trust(tmp_path, "rsa", {"name": "r", "key": "rsa.pub"}), tmp_path)


def test_a_private_key_stays_private(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "new.pem"  # a new project has no such folder
    before = os.umask(0)
    try:
        signers.new_key(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    content = path.read_text()
    with pytest.raises(UsageError, match="already exists"):
        signers.new_key(path)
    assert path.read_text() == content


def test_keys_are_rotated(tmp_path: Path) -> None:
    """The steps of docs/provenance.md: two keys for a time, all artifacts signed again, the old key revoked."""
    folder = tmp_path / "project"
    old, new = key_pair(folder, "2026"), key_pair(folder, "2027")
    first, second = artifact(tmp_path / "a", version="2026-11-29.1"), artifact(tmp_path / "a", version="2026-11-30.1")
    attest(first, trust(folder, "2026", old), folder)
    # 1. both keys are accepted, and the new one signs
    both = trust(folder, "2027", old, new)
    attest(second, both, folder)
    assert [check(one, both, folder).signed[0].name for one in (first, second)] == ["2026", "2027"]
    # 2. what the old key signed is signed again; until the end both signatures are there
    attest(first, both, folder)
    assert [one.name for one in check(first, both, folder).signed] == ["2026", "2027"]
    assert check(first, trust(folder, "2026", old), folder)
    # 3. the old key is revoked
    revoked = trust(folder, "2027", {**old, "revoked": {"on": "2026-11-01", "reason": "replaced"}}, new)
    assert [one.name for one in check(first, revoked, folder).signed] == ["2027"]
    forgotten = artifact(tmp_path / "a", version="2026-11-28.1")
    attest(forgotten, trust(folder, "2026", old), folder)
    with pytest.raises(NotTrusted, match=r"the key 2026 was revoked on 2026-11-01 \(replaced\)"):
        check(forgotten, revoked, folder)
    # 4. what was forgotten can still be signed again, by whoever knows that it is right
    attest(forgotten, revoked, folder)
    assert check(forgotten, revoked, folder)


@pytest.mark.skipif(shutil.which("softhsm2-util") is None, reason="SoftHSM is not installed")
def test_a_key_on_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pkcs11 = pytest.importorskip("pkcs11")
    library = "/usr/lib/softhsm/libsofthsm2.so"
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path}/tokens\nobjectstore.backend = file\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    argv = ["softhsm2-util", "--init-token", "--free", "--label", "images", "--pin", "1234", "--so-pin", "5678"]
    subprocess.run(argv, check=True, capture_output=True)
    token = pkcs11.lib(library).get_token(token_label="images")
    with token.open(user_pin="1234", rw=True) as session:
        curve = pkcs11.util.ec.encode_named_curve_parameters("secp256r1")
        parameters = session.create_domain_parameters(
            pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: curve}, local=True
        )
        parameters.generate_keypair(store=True, id=pkcs11.util.biginteger(2), label="key")
    monkeypatch.setenv("PIN", "1234")
    sign = {"pkcs11": {"module": library, "token": "images", "pin": {"env": "PIN"}}}
    made = artifact(tmp_path / "artifacts")
    section = trust(tmp_path, "", sign=sign)
    path = attest(made, section, tmp_path)
    assert len(json.loads(path.read_text())["signatures"]) == 1
    monkeypatch.setenv("PIN", "0000")
    path.unlink()
    with pytest.raises(ImageBuildError, match=r"PKCS#11 token|does not sign"):
        attest(made, section, tmp_path)
