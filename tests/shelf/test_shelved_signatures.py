"""Who downloads an image from a shelf can check who built it, offline, with the files of the shelf alone."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imagebuild.cli.main import cli
from imagebuild.errors import ImageBuildError, UsageError
from imagebuild.progress import SILENT_REPORTER
from imagebuild.shelf import shelving
from imagebuild.shelf.shelving import BuiltShelf, ShelfOptions
from imagebuild.store.artifact import Artifact, write_checksums
from imagebuild.trust.attesting import attest
from tests.shelf.artifacts import artifact, problems
from tests.trust.signed import key_pair, trust
from tests.trust.sigstore_instance import IDENTITY, ISSUER, SigstoreInstance, token

SMALL = {"manifest.json", "domain.xml", "SHA256SUMS", "provenance.intoto.json"}


class SignedShelf:
    """A shelf with an artifact that the key ``one`` has signed, and an empty folder for downloads."""

    def __init__(self, root: Path) -> None:
        self.root, self.shelf, self.downloads = root, root / "shelf", root / "downloads"
        self.downloads.mkdir()
        self.keys = root / "keys"
        entry = key_pair(self.keys, "one")
        self.public = root / "one.pub"
        self.public.write_text(entry["key"] + "\n")
        self.project = trust(self.keys, "one", entry)
        self.made = self.artifact("2026-11-29.1")
        self.build()

    def artifact(self, version: str, disks: int = 1) -> Artifact:
        made = artifact(self.root / "artifacts", version=version, disks=disks)
        write_checksums(made)
        attest(made, self.project, self.keys)
        return made

    def build(self, made: Artifact | None = None) -> BuiltShelf:
        return shelving.build(self.shelf, [made or self.made], ShelfOptions(), SILENT_REPORTER)

    def download(self) -> Path:
        """Everything that the shelf's SHA256SUMS lists; returns the image of the system disk."""
        for line in (self.shelf / "SHA256SUMS").read_text().splitlines():
            shutil.copy(self.shelf / line.split("  ")[1], self.downloads)
        return next(self.downloads.glob("web--*.qcow2"))

    def verify(self, image: Path, *words: str | Path) -> Result:
        argv = ["verify-signature", image, *(words or ("--key", self.public))]
        return CliRunner().invoke(cli, [str(word) for word in argv])


@pytest.fixture
def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SignedShelf:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMAGEBUILD_CONFIG", raising=False)
    return SignedShelf(tmp_path)


def test_a_download_is_verified_by_its_names_on_the_shelf(signed: SignedShelf) -> None:
    assert problems(signed.shelf) == []
    image = signed.download()
    shutil.rmtree(signed.root / "artifacts")
    done = signed.verify(image)
    assert done.exit_code == 0, done.exception
    assert "web 2026-11-29.1 is what was signed" in done.output
    assert "signed by:       one.pub" in done.output
    found = json.loads(signed.verify(image, "--key", signed.public, "--json").output)
    assert {"web.qcow2", "web.xml", "manifest.json"} <= set(found["files"])
    products = json.loads((signed.shelf / "streams/v1/imagebuild:images.json").read_text())["products"]
    (version,) = products["imagebuild:web:x86_64"]["versions"].values()
    assert version["items"].keys() == SMALL | {"disk1.img"}


def test_what_was_changed_on_the_way_is_refused(signed: SignedShelf) -> None:
    image = signed.download()
    content = image.read_bytes()
    image.write_bytes(content[:-1] + b"x")
    done = signed.verify(image)
    assert isinstance(done.exception, ImageBuildError)
    assert "is not one of its signed images" in str(done.exception)
    image.write_bytes(content)
    (domain,) = signed.downloads.glob("*.xml")
    domain.write_text("<domain><name>evil</name></domain>")
    assert "web.xml was changed after it was signed" in str(signed.verify(image).exception)
    other = image.with_name(image.name.replace("2026-11-29.1", "2026-11-29.2"))
    for path in signed.downloads.iterdir():  # an older version under the name of a newer one
        path.rename(path.with_name(path.name.replace("2026-11-29.1", "2026-11-29.2")))
    assert "its provenance belongs to web 2026-11-29.1" in str(signed.verify(other).exception)


def test_files_that_are_missing_or_there_twice(signed: SignedShelf) -> None:
    image = signed.download()
    (provenance,) = signed.downloads.glob("*.intoto.json")
    again = provenance.with_name(re.sub("--[0-9a-f]{16}", f"--{'0' * 16}", provenance.name))
    shutil.copy(provenance, again)
    assert "are two versions of the same file" in str(signed.verify(image).exception)
    again.unlink()
    provenance.unlink()
    done = signed.verify(image)
    assert isinstance(done.exception, UsageError)
    assert "is no signature of web 2026-11-29.1" in str(done.exception)
    provenance.symlink_to(signed.made.folder / "provenance.intoto.json")
    assert "cannot be used" in str(signed.verify(image).exception)


def test_a_later_signature_arrives_and_the_image_stays(signed: SignedShelf, no_proxy: None) -> None:
    instance = SigstoreInstance()
    (signed.root / "token").write_text(token())
    with instance.serving():
        files = instance.write(signed.root)
        identities = [{"identity": IDENTITY, "issuer": ISSUER}]
        (signed.root / "imagebuild.yaml").write_text(
            json.dumps({"trust": {"sigstore": {**files, "identities": identities}}})
        )
        words = ["attest", str(signed.made.folder), "--sigstore", "--identity-token-file", "token"]
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 0, done.exception
    built = signed.build()
    assert [name.split(".", 2)[-1] for name in built.added] == ["provenance.sigstore.json"]
    assert [name for name in built.removed if name.endswith(".qcow2")] == []
    done = signed.verify(signed.download(), "--config", signed.root / "imagebuild.yaml")
    assert done.exit_code == 0, done.exception
    assert f"signed by:       {IDENTITY}" in done.output


def test_each_disk_of_a_guest(signed: SignedShelf) -> None:
    made = signed.artifact("2026-11-29.2", disks=2)
    signed.build(made)
    signed.download()
    for image in sorted(signed.downloads.glob("*--2026-11-29.2--*.qcow2")):
        done = signed.verify(image)
        assert done.exit_code == 0, done.exception


def test_an_unsigned_artifact_brings_no_checksums(signed: SignedShelf) -> None:
    made = artifact(signed.root / "artifacts", version="2026-11-29.3")
    write_checksums(made)
    signed.build(made)
    assert len(list((signed.shelf / "images").glob("web--2026-11-29.3--*"))) == 3
