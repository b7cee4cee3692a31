"""Documents in the folder of an artifact, and `imagebuild sbom`."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imagebuild import scrub
from imagebuild.cli.main import cli
from imagebuild.contents.encoding import INVENTORY, InventoryError, packed, unpacked
from imagebuild.errors import HostError, ImageBuildError, UsageError
from imagebuild.sbom import writing
from imagebuild.sbom.bill import moment
from imagebuild.store import beside
from imagebuild.store.artifact import Artifact
from tests.contents.inventories import artifact, inventory
from tests.sbom.bills import PACKAGES, guest


@pytest.fixture(autouse=True)
def no_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scrub, "inventories", None)


@pytest.fixture
def made(tmp_path: Path) -> Artifact:
    image = artifact(tmp_path / "artifacts", guest())
    manifest = json.loads((image.parent / "manifest.json").read_text())
    manifest["image"]["sha256"] = "cd" * 32
    manifest["built"] = {"ended": "2026-11-29T20:01:02+00:00"}
    (image.parent / "manifest.json").write_text(json.dumps(manifest))
    return Artifact(image.parent, "web", "2026-11-29.1")


def as_schema_1(made: Artifact) -> None:
    """Replace the inventory by one of the first format."""
    path = made.folder / INVENTORY
    data = json.loads(gzip.decompress(path.read_bytes()))
    del data["installed"], data["unowned"]
    content = gzip.compress(json.dumps(data | {"schema": 1}).encode())
    path.write_bytes(content)
    manifest = json.loads((made.folder / "manifest.json").read_text())
    manifest["inventory_sha256"] = hashlib.sha256(content).hexdigest()
    (made.folder / "manifest.json").write_text(json.dumps(manifest))


def ran(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_the_documents_of_an_artifact(made: Artifact, tmp_path: Path) -> None:
    cyclonedx, spdx = writing.write_documents(made)
    assert (cyclonedx.name, spdx.name) == ("web.cdx.json", "web.spdx.json")
    document = json.loads(cyclonedx.read_text())
    assert document["metadata"]["timestamp"] == "2026-11-29T20:01:02+00:00"
    assert document["metadata"]["component"]["hashes"][0]["content"] == "cd" * 32
    before = cyclonedx.read_bytes()
    (tmp_path / "into").mkdir()
    assert writing.write_documents(made, tmp_path / "into")[0].read_bytes() == before


def test_the_command_gives_the_same(made: Artifact) -> None:
    for path, form in zip(writing.write_documents(made), ("cyclonedx", "spdx"), strict=True):
        assert ran("sbom", "web", "--format", form).stdout == path.read_text()


def test_a_file_and_json(made: Artifact, tmp_path: Path) -> None:
    result = ran("sbom", made.folder, "--file", "x.json", "--json")
    line = json.loads(result.stdout)
    assert (line["event"], line["packages"], line["files"], line["missing"]) == ("sbom", len(PACKAGES), 3, [])
    assert json.loads((tmp_path / "x.json").read_text())["serialNumber"] == f"urn:uuid:{line['serial']}"
    assert ran("sbom", made.folder, "--file", "x.json").stdout == "x.json: 5 packages, 3 files of no package\n"


def test_json_needs_a_file(made: Artifact) -> None:
    error = ran("sbom", made.folder, "--json").exception
    assert isinstance(error, UsageError)
    assert "--file" in error.hint


def test_a_file_that_cannot_be_written(made: Artifact) -> None:
    error = ran("sbom", made.folder, "--file", "nowhere/x.json").exception
    assert isinstance(error, HostError)
    assert "nowhere/x.json: No such file or directory" in error.message


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        writing.write(pipe, "text")
        assert os.read(reader, 10) == b"text"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_an_inventory_of_schema_1_is_read(made: Artifact) -> None:
    as_schema_1(made)
    found = unpacked((made.folder / INVENTORY).read_bytes())
    assert (found.installed, found.unowned, found.packages) == (None, None, inventory().packages)
    cyclonedx, _ = writing.write_documents(made)
    document = json.loads(cyclonedx.read_text())
    assert "source packages" in document["metadata"]["properties"][0]["value"]
    assert len(document["components"]) == 1 + len(inventory().packages or ())


def test_the_command_reads_the_disk_instead_of_schema_1(made: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    as_schema_1(made)
    read = []

    def from_disk(guests: list[list[object]], **_options: object) -> list[object]:
        read.append(guests)
        return [guest()]

    monkeypatch.setattr(scrub, "inventories", from_disk)
    monkeypatch.setattr(scrub, "recognised", lambda images: [type("Image", (), {"format": "qcow2"}) for _ in images])
    result = ran("sbom", made.folder, "--store", "store")
    assert len(read) == 1
    assert "its disk is read" in result.stderr
    assert len(json.loads(result.stdout)["components"]) == 1 + len(PACKAGES) + 3


def test_without_an_inventory(tmp_path: Path) -> None:
    image = artifact(tmp_path / "artifacts", None)
    with pytest.raises(UsageError, match=r"no SBOM of web 2026-11-29\.1: it has no inventory"):
        writing.write_documents(Artifact(image.parent, "web", "2026-11-29.1"))


def test_an_image_without_a_manifest_is_digested(tmp_path: Path) -> None:
    image = tmp_path / "cloud.raw"
    image.write_bytes(b"disk")
    found = writing.billed_image(image, None)
    assert (found.name, found.version, found.digest) == ("cloud.raw", "", hashlib.sha256(b"disk").hexdigest())


def test_a_digest_in_a_manifest_that_is_none_is_not_used(made: Artifact) -> None:
    manifest = json.loads((made.folder / "manifest.json").read_text())
    manifest["image"]["sha256"] = "00"
    (made.folder / "manifest.json").write_text(json.dumps(manifest))
    near, _ = beside.of(made.image)
    assert near is not None
    assert writing.billed_image(made.image, near).digest == hashlib.sha256(made.image.read_bytes()).hexdigest()


def test_source_date_epoch(made: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert json.loads(ran("sbom", "web").stdout)["metadata"]["timestamp"] == "1970-01-01T00:00:00+00:00"


@pytest.mark.parametrize("value", ["yesterday", "-1", "1.5", "9" * 12, "٣"])
def test_a_wrong_source_date_epoch(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    with pytest.raises(ImageBuildError, match="SOURCE_DATE_EPOCH is"):
        moment(datetime.now(UTC))


@pytest.mark.parametrize(
    "change",
    [
        {"installed": [["a"]]},
        {"installed": [["a", 1]]},
        {"installed": [["a", "1", "", "", "", "", "", -1]]},
        {"installed": [["a", "1", "", "", "", "", "", 0, [1]]]},
        {"installed": [["a", "1", "", "", "", "", "", 0, 5]]},
        {"installed": {}},
        {"unowned": [["etc"]]},
        {"unowned": [["/etc", "xyz"]]},
        {"unowned": [["/etc", "", ""]]},
    ],
)
def test_what_is_no_inventory(change: dict[str, object]) -> None:
    data = json.loads(gzip.decompress(packed(guest())))
    with pytest.raises(InventoryError, match="a value in it"):
        unpacked(gzip.compress(json.dumps(data | change).encode()))
