"""Bundles of sigstore: signed through its own library at a private instance, verified offline by it."""

from __future__ import annotations

import base64
import json
import logging
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sigstore.models import ClientTrustConfig

from imagebuild.errors import HostError, ImageBuildError, UsageError
from imagebuild.project.trust import Sigstore, Trust
from imagebuild.store.artifact import BUNDLE, PROVENANCE, Artifact
from imagebuild.trust import bundle, envelope, explained
from imagebuild.trust.attesting import attested
from imagebuild.trust.checking import Checked, CheckOptions, check
from imagebuild.trust.keyless import KeylessSigner
from imagebuild.trust.keys import SignerIdentity
from imagebuild.trust.signatures import NotTrusted
from tests.trust.signed import artifact, key_pair, trust
from tests.trust.sigstore_instance import IDENTITY, ISSUER, SigstoreInstance, token

TODAY = date(2026, 11, 29)


class Site:
    """A project that accepts an identity of a private instance, and an artifact."""

    def __init__(self, root: Path, instance: SigstoreInstance) -> None:
        self.folder = root / "project"
        self.instance = instance
        self.files = instance.write(self.folder)
        self.made = artifact(root / "artifacts")
        self.token = root / "token"
        self.token.write_text(token() + "\n")

    def trust(self, *keys: Any, signer: str = "", threshold: int = 1, **identity: Any) -> Trust:
        accepted = {"identity": IDENTITY, "issuer": ISSUER, **identity}
        section = {**self.files, "identities": [accepted]}
        return trust(self.folder, signer, *keys, sigstore=section, threshold=threshold)

    def keyless(self, **more: Any) -> KeylessSigner:
        return KeylessSigner(Sigstore(**self.files), self.folder, self.token, **more)

    def sign(self, section: Trust | None = None) -> tuple[str, ...]:
        with self.instance.serving():
            self.instance.write(self.folder)  # the address is another
            return attested(self.made, section or self.trust(), self.folder, self.keyless()).written

    def check(self, section: Trust | None = None, today: date = TODAY, made: Artifact | None = None) -> Checked:
        return check(made or self.made, section or self.trust(), self.folder, CheckOptions(today=today))

    @property
    def bundle(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.made.folder / BUNDLE).read_text())
        return found

    def write(self, bundle: object) -> None:
        (self.made.folder / BUNDLE).write_text(json.dumps(bundle))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: None) -> Iterator[Site]:
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):  # the library keeps the public root there
        monkeypatch.setenv(name, str(tmp_path / "home"))
    level = logging.getLogger("sigstore").level
    yield Site(tmp_path, SigstoreInstance())
    logging.getLogger("sigstore").setLevel(level)


def test_an_artifact_is_signed_and_verified_without_a_key(site: Site) -> None:
    assert site.sign() == (BUNDLE,)
    assert site.instance.requests == ["/api/v2/signingCert", "/api/v1/log/entries"]
    found = site.check()  # the instance is gone: nothing is asked
    assert found.said is not None
    assert found.said.bundle is not None
    assert (found.signed, found.said.problem) == ((), "")
    shown = list(explained.lines(found))
    assert ("signed by", f"{IDENTITY}, for which {ISSUER} vouches") in shown
    assert any(heading == "signed at" for heading, _ in shown)
    assert not any("when it was signed" in text for _, text in shown)
    assert found.statement is not None
    assert found.statement.recipe == "web"


def test_a_bundle_of_the_real_staging_instance(site: Site) -> None:
    """By another client of sigstore, with Rekor's API version 2 and a timestamp authority.

    From sigstore/sigstore-python 27db13d, test/assets/a.dsse.staging-rekor-v2.txt.sigstore.json (Apache-2.0).
    """
    content = (Path(__file__).parent / "data" / "staging-rekor-v2.sigstore.json").read_bytes()
    workflow = "sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows"
    identity = SignerIdentity(
        f"https://github.com/{workflow}/extremely-dangerous-oidc-beacon.yml@refs/heads/main",
        "https://token.actions.githubusercontent.com",
    )
    root = site.folder / "staging.json"
    root.write_text(ClientTrustConfig.staging(offline=True).trusted_root._inner.to_json())
    found = bundle.verified(content, [identity], root)
    assert found.time is None
    assert (found.began.isoformat(), found.ended - found.began) == ("2026-05-13T19:23:32+00:00", timedelta(minutes=10))
    assert json.loads(found.payload)["subject"][0]["name"] == "a.txt"
    for accepted, where, why in (
        (identity, None, "no log or timestamp authority that the trusted root names says when it was signed"),
        (identity, site.folder / "trusted_root.json", "no log or timestamp authority that the trusted root names"),
        (replace(identity, issuer=ISSUER), root, "it is signed by another identity"),
    ):
        with pytest.raises(bundle.BundleError, match=why):
            bundle.verified(content, [accepted], where)


def test_what_an_accepted_identity_has_signed_stays(site: Site) -> None:
    site.sign()
    before = site.bundle
    assert site.sign() == ()
    assert site.bundle == before
    site.token.unlink()
    assert site.sign() == ()  # no identity is needed
    site.token.write_text(token())
    manifest = site.made.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"name"', ' "name"', 1))
    from imagebuild.store.artifact import write_checksums

    write_checksums(site.made)
    assert site.sign() == (BUNDLE,)
    assert site.bundle["dsseEnvelope"]["payload"] != before["dsseEnvelope"]["payload"]
    site.check()


def test_a_key_and_an_identity_count_together(site: Site) -> None:
    both = site.trust(key_pair(site.folder, "one"), signer="one", threshold=2)
    assert site.sign(both) == (PROVENANCE, BUNDLE)
    found = site.check(both)
    assert [one.name for one in found.signed] == ["one"]
    (site.made.folder / BUNDLE).unlink()
    with pytest.raises(NotTrusted, match="only 1 of the 2 keys that are needed have signed it: one"):
        site.check(both)
    site.sign(both)
    (site.made.folder / PROVENANCE).unlink()
    with pytest.raises(NotTrusted, match="only 1 of the 2 keys that are needed have signed it: https://ci"):
        site.check(both)


def test_a_signature_that_is_not_needed_is_shown_as_not_accepted(site: Site) -> None:
    either = site.trust(key_pair(site.folder, "one"), signer="one")
    site.sign(either)
    site.write({})
    found = site.check(either)
    assert found.said is not None
    assert found.said.problem == f"{BUNDLE}: it is truncated or damaged: it is no bundle of sigstore"
    assert found.said.files.bundle == b""
    assert ("not accepted", found.said.problem) in list(explained.lines(found))


def change_payload(site: Site) -> None:
    bundle = site.bundle
    said = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b"2026-11-29T10:00", b"2026-11-29T09:00")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(said).decode()
    site.write(bundle)


def change_signature(site: Site) -> None:
    bundle = site.bundle
    signature = bytearray(base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"]))
    signature[-1] ^= 1
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    site.write(bundle)


def change_time(site: Site) -> None:
    bundle = site.bundle
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    entry["integratedTime"] = str(int(entry["integratedTime"]) + 1)
    site.write(bundle)


def change_proof(site: Site) -> None:
    bundle = site.bundle
    proof = bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    proof["hashes"] = [base64.b64encode(b"x" * 32).decode()]
    site.write(bundle)


def other_image(site: Site) -> None:
    (site.made.folder / "web.qcow2").write_text("image of web 2026-11-29.2")


def other_artifact(site: Site) -> None:
    mine, site.made = site.made, artifact(site.made.folder.parent.parent, "db")
    site.sign()
    shutil.copy(site.made.folder / BUNDLE, mine.folder)
    site.made = mine


def other_envelope_beside_its_log_entry(site: Site) -> None:
    """A valid signature by the same identity, with the log's entry of another signature."""
    first = site.bundle
    (site.made.folder / BUNDLE).unlink()
    site.sign()
    bundle = site.bundle
    bundle["dsseEnvelope"] = first["dsseEnvelope"]
    bundle["verificationMaterial"]["certificate"] = first["verificationMaterial"]["certificate"]
    site.write(bundle)


CHANGES: list[tuple[Callable[[Site], None], str]] = [
    (change_payload, "the signature does not fit: it was changed after it was signed"),
    (change_signature, "the signature does not fit: it was changed after it was signed"),
    (change_time, "its entry in the log is not valid"),
    (change_proof, "its entry in the log is not valid"),
    (other_image, "the image web.qcow2 was changed after it was signed"),
    (other_artifact, "its provenance belongs to db 2026-11-29.1"),
    (other_envelope_beside_its_log_entry, "its entry in the log is about another signature"),
    (lambda site: (site.made.folder / BUNDLE).unlink(), f"it is not signed: there is no {BUNDLE}"),
    (lambda site: site.write({"mediaType": "x"}), "it is truncated or damaged: it is no bundle of sigstore"),
    (lambda site: (site.made.folder / BUNDLE).write_text("[" * 5000), "it is truncated or damaged"),
]


@pytest.mark.parametrize(("change", "why"), CHANGES, ids=lambda one: getattr(one, "__name__", "")[:30])
def test_what_was_changed_is_refused(site: Site, change: Callable[[Site], None], why: str) -> None:
    site.sign()
    site.check()
    change(site)
    with pytest.raises(NotTrusted) as caught:
        site.check()
    assert why in caught.value.message
    assert "\n" not in caught.value.message


def test_a_certificate_that_had_expired_is_refused(site: Site) -> None:
    site.instance.late = timedelta(seconds=1)
    with pytest.raises(
        ImageBuildError, match=r"its certificate expired at .*, before the log recorded the signature at"
    ):
        site.sign()
    assert not (site.made.folder / BUNDLE).exists()


def test_another_instance_is_refused(site: Site) -> None:
    site.sign()
    SigstoreInstance().write(site.folder)
    with pytest.raises(
        NotTrusted, match="its certificate is not valid, or of an authority that the trusted root does not"
    ):
        site.check()
    public = trust(site.folder, "", sigstore={"identities": [{"identity": IDENTITY, "issuer": ISSUER}]})
    with pytest.raises(NotTrusted, match="of an authority that the trusted root does not name"):
        site.check(public)  # sigstore's own, which comes with the library


def test_logs_that_the_root_does_not_name_are_refused(site: Site) -> None:
    site.sign()
    path = site.folder / "trusted_root.json"
    root = json.loads(path.read_text())
    other = SigstoreInstance()._trusted_root()
    path.write_text(json.dumps({**root, "ctlogs": other["ctlogs"]}))
    with pytest.raises(NotTrusted, match="its certificate is in no certificate log that the trusted root names"):
        site.check()
    path.write_text(json.dumps({**root, "tlogs": other["tlogs"]}))
    with pytest.raises(
        NotTrusted, match="its entry in the log is not valid, or of a log that the trusted root does not"
    ):
        site.check()


def test_identities_are_judged_like_keys(site: Site) -> None:
    site.sign()
    for identity, why in (
        (
            {"identity": "https://ci.example.org/other"},
            f"it is signed by another identity: {IDENTITY} (issuer {ISSUER})",
        ),
        ({"issuer": "https://evil.example.org"}, f"it is signed by another identity: {IDENTITY} (issuer {ISSUER})"),
        ({"expires": "2026-11-28"}, f"the identity {IDENTITY} expired on 2026-11-28"),
        ({"not_before": "2026-11-30"}, f"the identity {IDENTITY} is not valid before 2026-11-30"),
        ({"revoked": {"on": "2026-11-29", "reason": "left"}}, f"{IDENTITY} was revoked on 2026-11-29 (left)"),
    ):
        with pytest.raises(NotTrusted) as caught:
            site.check(site.trust(**identity))
        assert why in caught.value.message
    site.check(site.trust(expires="2026-11-29", revoked={"on": "2026-11-30"}))


def test_nothing_is_written_that_would_not_be_accepted(site: Site) -> None:
    site.token.write_text(token("https://ci.example.org/fork"))
    with pytest.raises(ImageBuildError, match="would not be accepted: it is signed by another identity") as caught:
        site.sign()
    assert caught.value.hint is not None
    assert "trust.sigstore.identities" in caught.value.hint
    assert not (site.made.folder / BUNDLE).exists()


def test_a_stale_bundle_is_removed_when_a_key_signs(site: Site) -> None:
    key = key_pair(site.folder, "one")
    site.sign()
    bundle = site.bundle
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(b"{}").decode()
    site.write(bundle)
    attested(site.made, site.trust(key, signer="one"), site.folder)
    assert not (site.made.folder / BUNDLE).exists()


def test_tokens_and_their_errors(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "CIRCLECI", "BUILDKITE", "GITLAB_CI", "SIGSTORE_ID_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    ambient = KeylessSigner(Sigstore(**site.files), site.folder)
    with pytest.raises(HostError, match="there is no identity to sign with") as none:
        attested(site.made, site.trust(), site.folder, ambient)
    assert none.value.exit_code == 3
    monkeypatch.setenv("GITHUB_ACTIONS", "true")  # a job without the permission
    with pytest.raises(HostError, match="the identity of this environment cannot be used"):
        ambient.check()
    for bad in (token(valid=-60), token(audience="other"), "not.a.token", "x"):
        site.token.write_text(bad)
        with pytest.raises(UsageError, match="has expired, or is not for the audience sigstore") as caught:
            site.keyless().check()
        assert bad == "x" or bad not in str(caught.value)
        assert caught.value.__cause__ is None
    site.token.unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        site.keyless().check()
    assert not site.instance.requests


def test_a_token_of_the_environment_signs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """GitLab's way: a variable of the job."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", token())
    with site.instance.serving():
        site.instance.write(site.folder)
        signer = KeylessSigner(Sigstore(**site.files), site.folder)
        assert attested(site.made, site.trust(), site.folder, signer).written == (BUNDLE,)
    site.check()


def test_servers_that_refuse_or_are_not_there(site: Site) -> None:
    with pytest.raises(HostError, match="a server of sigstore cannot be reached") as away:
        attested(site.made, site.trust(), site.folder, _away(site))
    assert away.value.hint is not None
    assert away.value.hint.startswith("nothing was signed")
    site.instance.status = 403
    with pytest.raises(ImageBuildError, match=r"sigstore does not sign: .*403") as refused:
        site.sign()
    assert refused.value.exit_code == 1
    incomplete = KeylessSigner(Sigstore(trusted_root="trusted_root.json"), site.folder, site.token)
    with pytest.raises(UsageError, match="its addresses are not known"):
        attested(site.made, site.trust(), site.folder, incomplete)
    (site.folder / "signing_config.json").write_text("{}")
    with pytest.raises(UsageError, match="cannot be used"):
        attested(site.made, site.trust(), site.folder, site.keyless())
    assert not (site.made.folder / BUNDLE).exists()


def test_a_server_that_never_answers(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        site.instance.url = f"http://127.0.0.1:{server.getsockname()[1]}"
        site.instance.write(site.folder)
        with pytest.raises(HostError, match=r"sigstore did not answer within 0.2 s"):
            attested(site.made, site.trust(), site.folder, site.keyless(limit=0.2))
    for thread in threading.enumerate():
        if thread.name == "sigstore":
            thread.join()  # the connection was reset


def test_without_the_library(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    either = site.trust(key_pair(site.folder, "one"), signer="one")
    site.sign(either)
    for name in ("sigstore.models", "sigstore.oidc"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(HostError, match="signing with sigstore needs the Python package sigstore") as signing:
        site.keyless().check()
    with pytest.raises(HostError, match="bundles of sigstore need the Python package sigstore") as checking:
        site.check()
    assert signing.value.hint == checking.value.hint
    assert "pip install 'imagebuild[sigstore]'" in str(signing.value.hint)
    found = site.check(either)  # the key's signature is enough
    assert found.said is not None
    assert "needs" not in found.said.problem
    assert "need the Python package sigstore" in found.said.problem


def _away(site: Site) -> KeylessSigner:
    """A signer whose servers have been stopped."""
    with site.instance.serving():
        site.instance.write(site.folder)
    return site.keyless()


def test_a_root_that_cannot_be_used(site: Site) -> None:
    site.sign()
    (site.folder / "trusted_root.json").write_text("{}")
    with pytest.raises(UsageError, match=r"the trusted root .*trusted_root.json cannot be used"):
        site.check()
    (site.folder / "trusted_root.json").unlink()
    with pytest.raises(UsageError, match="there is no file"):
        site.check()


def test_the_record_of_a_template_keeps_what_is_needed(site: Site) -> None:
    both = site.trust(key_pair(site.folder, "one"), signer="one", threshold=2)
    site.sign(both)
    bundle = site.bundle
    (site.made.folder / BUNDLE).write_text(json.dumps(bundle, indent=400))
    found = site.check(both)
    assert found.said is not None
    files = found.said.files
    text = envelope.packed(files.envelope, b"<domain/>", files.bundle)
    first, machine, second = envelope.unpacked(text)
    assert (json.loads(first), machine, json.loads(second)) == (json.loads(files.envelope), b"<domain/>", bundle)
    alone = envelope.unpacked(envelope.packed(b"", b"<domain/>", files.bundle))
    assert (alone[0], json.loads(alone[2])) == (b"", bundle)
