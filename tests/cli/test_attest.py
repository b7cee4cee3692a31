"""``attest`` and ``verify-signature`` as their users call them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imagebuild.cli.main import cli
from imagebuild.errors import HostError, ImageBuildError, UsageError
from tests.trust.signed import artifact
from tests.trust.sigstore_instance import IDENTITY, ISSUER, SigstoreInstance, token


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose imagebuild.yaml is what ``--new-key`` prints, with an artifact of ``web``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMAGEBUILD_CONFIG", raising=False)
    made = run("attest", "--new-key", "one.pem")
    (tmp_path / "imagebuild.yaml").write_text(made.output[made.output.index("trust:") :])
    artifact(tmp_path / "artifacts")
    (tmp_path / "artifacts" / "web" / "latest").symlink_to("2026-11-29.1")
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def test_sign_and_check() -> None:
    assert run("attest", "web").output == "web 2026-11-29.1 signed: provenance.intoto.json\n"
    assert run("attest", "web").output == "web 2026-11-29.1 was signed already\n"
    done = run("verify-signature", "web")
    assert done.exit_code == 0
    assert "result:          web 2026-11-29.1 is what was signed\nsigned by:       one (key ID " in done.output
    assert "not shown:       when it was signed" in done.output
    line = json.loads(run("verify-signature", "web", "--json").output)
    assert [one["name"] for one in line["keys"]] == ["one"]
    assert json.loads(run("attest", "web", "--json").output)["written"] == []


def test_an_altered_image_is_found_by_the_recipe_s_name(project: Path) -> None:
    run("attest", "web")
    (project / "artifacts/web/2026-11-29.1/web.qcow2").write_text("another size")
    done = run("verify-signature", "web")
    assert isinstance(done.exception, ImageBuildError)
    assert done.exception.exit_code == 1
    assert "the image web.qcow2 was changed after it was signed" in str(done.exception)
    assert "nothing was signed" in str(run("attest", "web").exception)


def test_a_public_key_in_a_file_instead_of_the_project_s(project: Path) -> None:
    run("attest", "web")
    text = (project / "imagebuild.yaml").read_text()
    (project / "one.pub").write_text(re.findall("ssh-ed25519 .*", text)[0] + "\n")
    (project / "imagebuild.yaml").unlink()
    assert isinstance(run("verify-signature", "web").exception, UsageError)
    assert run("verify-signature", "web", "--key", "one.pub").exit_code == 0
    copy = project / "copy.img"
    (project / "artifacts/web/2026-11-29.1/web.qcow2").rename(copy)
    folder = "artifacts/web/2026-11-29.1"
    assert run("verify-signature", folder, "--key", "one.pub", "--image", "copy.img").exit_code == 0
    copy.write_text("another")
    assert "copy.img is not one of its signed images" in str(
        run("verify-signature", folder, "--key", "one.pub", "--image", "copy.img").exception
    )


def test_an_older_version_than_was_seen(project: Path) -> None:
    artifact(project / "artifacts", version="2026-11-30.1")
    folders = [f"artifacts/web/{version}" for version in ("2026-11-29.1", "2026-11-30.1")]
    assert run("attest", *folders).exit_code == 0
    for folder in folders:
        assert run("verify-signature", folder, "--remember", "seen.json").exit_code == 0
    done = run("verify-signature", folders[0], "--remember", "seen.json")
    assert "it is older than 2026-11-30.1, which was seen before" in str(done.exception)
    assert run("verify-signature", folders[0]).exit_code == 0
    assert "which was seen before" in str(run("verify-signature", folders[0], "--newer-than", "2026-12-01.1").exception)
    assert isinstance(run("verify-signature", "web", "--newer-than", "yesterday").exception, UsageError)
    (project / "seen.json").write_text("{")
    assert "seen.json is damaged" in str(run("verify-signature", folders[1], "--remember", "seen.json").exception)


def test_one_bad_artifact_does_not_stop_the_others(project: Path) -> None:
    bad = artifact(project / "artifacts", "bad")
    (bad.folder / "bad.xml").write_text("changed")
    artifact(project / "artifacts", "good")
    done = run("attest", str(bad.folder), "artifacts/good/2026-11-29.1")
    assert isinstance(done.exception, ImageBuildError)
    assert (project / "artifacts/good/2026-11-29.1/provenance.intoto.json").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("attest",), "give an IMAGE to sign"),
        (("attest", "--new-key", "one.pem"), "one.pem already exists"),
        (("attest", "--new-key", "two.pem", "web"), "--new-key signs nothing"),
        (("attest", "--new-key", "no/such/folder.pem"), "no/such/folder.pem"),
        (("attest", "artifacts/web/2026-11-29.1/build.log"), "without a manifest"),
        (("verify-signature", "web", "--key", "one.pem"), "is a private key"),
        (("verify-signature", "web", "--key", "no.pub"), "there is no file"),
        (("verify-signature", "web"), "it is not signed: there is no provenance.intoto.json"),
    ],
)
def test_bad_input(words: tuple[str, ...], says: str) -> None:
    done = run(*words)
    assert done.exit_code != 0
    assert says in str(done.exception)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "manifest.json").write_text("{"), "its manifest cannot be used"),
        (lambda folder: (folder / "manifest.json").unlink(), "there is no manifest.json"),
        (lambda folder: (folder / "web.qcow2").unlink(), "the image web.qcow2 is missing|web.qcow2 is missing"),
    ],
)
def test_a_damaged_folder_is_a_result_and_no_wrong_usage(
    project: Path, damage: Callable[[Path], object], says: str
) -> None:
    run("attest", "web")
    folder = project / "artifacts/web/2026-11-29.1"
    damage(folder)
    done = run("verify-signature", str(folder))
    assert isinstance(done.exception, ImageBuildError)
    assert done.exception.exit_code == 1
    assert re.search(says, str(done.exception))


def test_what_cannot_be_remembered_is_shown_all_the_same(project: Path) -> None:
    run("attest", "web")
    done = run("verify-signature", "web", "--remember", "no-folder/seen.json")
    assert "is what was signed" in done.output
    assert done.exception is not None


def test_sigstore(project: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: None) -> None:
    """Signed at a private instance with the token in a file, beside the project's key; checked offline."""
    for name in ("GITHUB_ACTIONS", "CIRCLECI", "BUILDKITE", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)
    instance, secret = SigstoreInstance(), token()
    (project / "token").write_text(secret)
    config = project / "imagebuild.yaml"
    with instance.serving():
        files = instance.write(project)
        section = {**files, "identities": [{"identity": IDENTITY, "issuer": ISSUER}]}
        config.write_text(f"{config.read_text()}  sigstore: {json.dumps(section)}\n  threshold: 2\n")
        words = ("attest", "web", "--sigstore")
        alone = run(*words)
        assert isinstance(alone.exception, HostError)
        assert "there is no identity to sign with" in str(alone.exception)
        signed = run(*words, "--identity-token-file", "token", "--verbose")
    assert "web 2026-11-29.1 signed: provenance.intoto.json, provenance.sigstore.json\n" in signed.output
    assert secret not in signed.output
    done = run("verify-signature", "web")
    assert f"signed by:       {IDENTITY}, for which {ISSUER} vouches\nsigned at:" in done.output
    line = json.loads(run("verify-signature", "web", "--json").output)
    assert [one["identity"] for one in line["identities"]] == [IDENTITY]
    assert line["problem"] == ""
    config.write_text(config.read_text().replace(IDENTITY, "https://ci.example.org/other"))
    refused = run("verify-signature", "web")
    assert isinstance(refused.exception, ImageBuildError)
    why = "only 1 of the 2 keys that are needed have signed it: one; provenance.sigstore.json: it is signed by another"
    assert why in str(refused.exception)


def test_options_of_sigstore_that_do_not_fit() -> None:
    assert "needs --sigstore" in str(run("attest", "web", "--identity-token-file", "token").exception)
    assert "no --sigstore" in str(run("attest", "--new-key", "two.pem", "--sigstore").exception)
