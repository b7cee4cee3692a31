"""What a project's keys did not sign is neither published, nor current, nor on a shelf."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from imagebuild.cli.main import cli
from imagebuild.errors import UsageError
from imagebuild.files import sha256
from imagebuild.project.load import load
from imagebuild.publish import signed
from imagebuild.publish.state import decoded, encoded
from imagebuild.store.artifact import Artifact, write_checksums
from imagebuild.trust import signers
from imagebuild.trust.signatures import NotTrusted
from tests.publish.conftest import DEFINITION
from tests.trust import signed as small
from tests.trust.sigstore_instance import IDENTITY, ISSUER, SigstoreInstance, token


class SigningProject:
    """A project in the current folder that signs with the key ``one`` and publishes to ``place``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = folder / "place" / "web.json"
        self.keys = [{"name": "one", "key": signers.new_key(folder / "one.pem").openssh}]
        self.accept()

    def accept(self, signer: str = "one", **more: Any) -> None:
        section = {"sign": {"key": {"file": f"{signer}.pem"}}, "keys": self.keys, **more}
        (self.folder / "imagebuild.yaml").write_text(json.dumps({"trust": section}))

    def artifact(self, version: str, recipe: str = "web") -> Artifact:
        made = small.artifact(self.folder / "artifacts", recipe, version)
        made.domain.write_text(DEFINITION)
        path = made.folder / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "verification": {"verdict": "passed"}}))
        write_checksums(made)
        return made

    def run(self, *words: str | Path) -> Result:
        return CliRunner().invoke(cli, [str(word) for word in words])

    def publish(self, made: Artifact, *more: str) -> Result:
        return self.run("publish", made.folder, "--to", "./place", *more)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SigningProject:
    (tmp_path / "place").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMAGEBUILD_CONFIG", raising=False)
    return SigningProject(tmp_path)


def message(result: Result) -> str:
    return result.output + str(result.exception or "")


def state_file(project: SigningProject) -> Path:
    (found,) = [path for path in project.folder.glob("place/**/*.json") if path.is_file()]
    return found


def test_what_is_not_signed_is_refused(project: SigningProject) -> None:
    made = project.artifact("2026-11-29.1")
    for words in (("publish", made.folder, "--to", "./place"), ("shelf", "build", "shelf", made.folder)):
        done = project.run(*words)
        assert "web 2026-11-29.1 cannot be trusted: it is not signed" in message(done)
        assert done.exit_code == 1
    assert not list(project.folder.glob("place/**/*.json"))
    assert project.run("attest", made.folder).exit_code == 0
    done = project.publish(made)
    assert done.exit_code == 0, message(done)


def test_versions_rise_and_going_back_is_deliberate(project: SigningProject) -> None:
    old, new = project.artifact("2026-11-29.9"), project.artifact("2026-11-29.10")
    assert project.run("attest", old.folder, new.folder).exit_code == 0
    assert project.publish(old).exit_code == 0
    before = state_file(project).read_bytes()
    assert project.publish(new).exit_code == 0
    for more in ((), ("--dry-run",)):
        done = project.publish(old, *more)
        assert done.exit_code == 1
        assert "2026-11-29.9 is older than 2026-11-29.10, which is current" in message(done)
    done = project.run("rollback", "web", "--on", "./place")
    assert done.exit_code == 0, message(done)
    done = project.run("templates", "--on", "./place", "--check")
    assert done.exit_code == 0, message(done)
    assert "rolled back; 2026-11-29.10 was current before" in message(done)
    # a record that somebody changed: the older version again, without a rollback
    state = decoded(state_file(project).read_bytes(), "web", "f")
    assert (state.current, state.highest) == ("2026-11-29.9", "2026-11-29.10")
    state_file(project).write_text(encoded(replace(state, rolled_back="")))
    done = project.run("templates", "--on", "./place", "--check")
    assert done.exit_code == 1
    assert "no rollback is recorded" in message(done)
    assert project.run("rollback", "web", "--on", "./place", "--to", "2026-11-29.9").exit_code == 0
    assert project.run("templates", "--on", "./place", "--check").exit_code == 0
    assert json.loads(before)["highest"] == "2026-11-29.9"


def test_a_new_signature_reaches_the_record(project: SigningProject) -> None:
    made = project.artifact("2026-11-29.1")
    project.run("attest", made.folder)
    assert project.publish(made).exit_code == 0
    project.keys.append({"name": "two", "key": signers.new_key(project.folder / "two.pem").openssh})
    project.keys[0]["expires"] = "2020-01-01"
    project.accept("two")
    done = project.run("templates", "--on", "./place", "--check")
    assert "the key one expired on 2020-01-01" in message(done)
    assert done.exit_code == 1
    assert "the key one expired" in message(project.publish(made))
    project.run("attest", made.folder)
    assert project.publish(made).exit_code == 0
    assert project.run("templates", "--on", "./place", "--check").exit_code == 0


def test_another_name_must_be_declared(project: SigningProject) -> None:
    made = project.artifact("2026-11-29.1")
    project.run("attest", made.folder)
    done = project.publish(made, "--as", "base")
    assert isinstance(done.exception, UsageError)
    assert "the template base must be of the recipe base, and this is web" in message(done)
    project.accept(templates={"base": "web"})
    assert project.publish(made, "--as", "base").exit_code == 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda one, _: replace(one, provenance=""), "it was published without a signature"),
        (lambda one, _: replace(one, provenance="AAAA"), "its provenance in the record is damaged"),
        (lambda one, _: replace(one, provenance=one.provenance[:-40]), "its provenance in the record is damaged"),
        (lambda one, other: replace(one, provenance=other.provenance), "what was signed is web 2026-11-29.2, not web"),
        (lambda one, other: replace(one, files=other.files), "is not one of its signed images"),
    ],
)
def test_a_record_that_somebody_changed(
    project: SigningProject, change: Callable[[Any, Any], Any], sentence: str
) -> None:
    for version in ("2026-11-29.1", "2026-11-29.2"):
        made = project.artifact(version)
        project.run("attest", made.folder)
        assert project.publish(made).exit_code == 0
    one, other = decoded(state_file(project).read_bytes(), "web", "f").versions
    accepted = signed.acceptance(load())
    assert accepted is not None
    assert signed.verified(one, "web", "kvm1", accepted) == one
    with pytest.raises(NotTrusted) as raised:
        signed.verified(change(one, other), "web", "kvm1", accepted)
    assert raised.value.message.startswith("kvm1: web 2026-11-29.1 cannot be trusted: ")
    assert sentence in raised.value.message
    # a definition with more memory than was signed is not used
    evil = replace(one, definition=one.definition.replace("131072", "999999"))
    assert signed.verified(evil, "web", "kvm1", accepted) == one
    assert signed.problem(evil, "web", "kvm1", accepted).startswith("the definition of its machine")


def test_the_image_is_read_once(project: SigningProject, monkeypatch: pytest.MonkeyPatch) -> None:
    made = project.artifact("2026-11-29.1")
    project.run("attest", made.folder)
    read: list[str] = []
    from imagebuild.publish import release as releases
    from imagebuild.trust import sums

    def counted(original: Callable[[Path], Any]) -> Callable[[Path], Any]:
        def call(path: Path) -> Any:
            read.append(os.path.basename(path))
            return original(path)

        return call

    monkeypatch.setattr(releases, "sha256", counted(sha256))
    monkeypatch.setattr(sums, "digest", counted(sums.digest))
    accepted = signed.acceptance(load())
    assert accepted is not None
    signed.checked(releases.release(made), made, accepted)
    assert read.count("web.qcow2") == 1


def test_an_identity_of_sigstore_is_enough(project: SigningProject, no_proxy: None) -> None:
    """Published, current and on a shelf by the signature of an identity, which can expire like a key."""
    instance = SigstoreInstance()
    (project.folder / "token").write_text(token())
    made = project.artifact("2026-11-29.1")

    def accept(**more: Any) -> None:
        identity = {"identity": IDENTITY, "issuer": ISSUER, **more}
        section = {"sigstore": {**files, "identities": [identity]}}
        (project.folder / "imagebuild.yaml").write_text(json.dumps({"trust": section}))

    with instance.serving():
        files = instance.write(project.folder)
        accept()
        refused = project.publish(made)
        assert "it is not signed: there is no provenance.sigstore.json" in message(refused)
        done = project.run("attest", made.folder, "--sigstore", "--identity-token-file", "token")
        assert done.exit_code == 0, message(done)
    assert project.publish(made).exit_code == 0
    assert project.run("templates", "--on", "./place", "--check").exit_code == 0
    accept(expires="2026-01-31")
    for words in (("publish", made.folder, "--to", "./place"), ("shelf", "build", "shelf", made.folder)):
        done = project.run(*words)
        assert done.exit_code == 1
        assert f"the identity {IDENTITY} expired on 2026-01-31" in message(done)
    done = project.run("templates", "--on", "./place", "--check")
    assert done.exit_code == 1
    assert "expired on 2026-01-31" in message(done)
