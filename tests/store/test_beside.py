"""The files beside an image: which belong to it, and which are not used."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagebuild.contents.encoding import INVENTORY, packed
from imagebuild.store import beside
from imagebuild.store.artifact import MANIFEST
from tests.contents.inventories import artifact, inventory

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return artifact(tmp_path, inventory())


def changed(image: Path, change: Change) -> None:
    """Change the manifest beside an image."""
    path = image.with_name(MANIFEST)
    data = json.loads(path.read_text())
    replacement = change(data)
    path.write_text(json.dumps(data if replacement is None else replacement))


def without(data: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != name}


def test_what_belongs_to_an_image(image: Path) -> None:
    found, why = beside.of(image)
    assert (why, found and found.why) == ("", "")
    assert found
    assert found.inventory == inventory()
    assert (found.manifest.recipe, found.manifest.version, found.image.size) == ("web", "2026-11-29.1", 512)
    assert [(one.name, one.changes) for one in found.manifest.operations] == [("clean-logs", 1)]


def test_nothing_is_beside_it(image: Path) -> None:
    image.with_name(MANIFEST).unlink()
    assert beside.of(image) == (None, "")


def test_an_artifact_of_an_earlier_version_has_no_inventory(tmp_path: Path) -> None:
    found, why = beside.of(artifact(tmp_path, None))
    assert found
    assert (found.inventory, found.why, why) == (None, "", "")


def test_another_image_is_named(image: Path) -> None:
    other = image.with_name("other.qcow2")
    other.write_bytes(image.read_bytes())
    found, why = beside.of(other)
    assert found is None
    assert "belongs to other images" in why


def test_an_image_that_was_changed(image: Path) -> None:
    image.write_bytes(bytes(513))
    found, why = beside.of(image)
    assert found is None
    assert why.endswith("the image has 513 bytes, not 512")


def test_further_formats_belong_and_further_disks_do_not(image: Path) -> None:
    def further(data: dict[str, Any]) -> None:
        def one(name: str) -> dict[str, Any]:
            return {**data["image"], "file": name}

        data["extra_images"] = [one("web-disk2.qcow2")]
        data["other_formats"] = [one("web.vmdk"), one("web-disk2.vmdk")]

    changed(image, further)
    for name, belongs in (("web.vmdk", True), ("web-disk2.vmdk", False), ("web-disk2.qcow2", False)):
        path = image.with_name(name)
        path.write_bytes(bytes(512))
        assert (beside.of(path)[0] is not None) is belongs, name


@pytest.mark.parametrize(
    "change",
    [
        lambda data: [],
        lambda data: without(data, "image"),
        lambda data: data.update(image={"file": "../web.qcow2", "format": "qcow2", "size": 512, "virtual_size": 1}),
        lambda data: data.update(image={"file": "/etc/passwd", "format": "qcow2", "size": 512, "virtual_size": 1}),
        lambda data: data["image"].update(size="512"),
        lambda data: data["image"].update(size=-1),
        lambda data: data["image"].update(file=["web.qcow2"]),
        lambda data: data.update(image=[]),
        lambda data: data.update(extra_images={}),
        lambda data: data.update(operations=[{"name": 1}]),
        lambda data: data.update(operations=[[]]),
        lambda data: data.update(version=None),
        lambda data: data.update(inventory_sha256=1),
    ],
)
def test_a_hostile_manifest_is_not_used(image: Path, change: Change) -> None:
    changed(image, change)
    found, why = beside.of(image)
    assert found is None
    assert why.startswith("manifest.json beside the image is not used: ")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 200_000, b'{"schema": NaN}'])
def test_what_is_no_manifest(image: Path, content: bytes) -> None:
    image.with_name(MANIFEST).write_bytes(content)
    assert beside.of(image)[0] is None


@pytest.mark.parametrize("name", [MANIFEST, INVENTORY])
def test_links_and_pipes_are_not_opened(image: Path, name: str) -> None:
    path = image.with_name(name)
    real = path.rename(path.with_name("elsewhere"))
    path.symlink_to(real)
    found, why = beside.of(image)
    assert "it is a link" in (why or found.why if found else why)
    path.unlink()
    os.mkfifo(path)
    found, why = beside.of(image)
    assert "not a regular file" in (why or found.why if found else why)


def test_a_very_large_manifest(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "LARGEST_MANIFEST", 20)
    assert "too large" in beside.of(image)[1]


def test_an_inventory_of_another_image(image: Path) -> None:
    image.with_name(INVENTORY).write_bytes(packed(inventory(kernels=("6.1",))))
    found, _ = beside.of(image)
    assert found
    assert found.inventory is None
    assert found.why == "inventory.json.gz beside the image is not used: the manifest has another checksum for it"


def test_an_inventory_that_the_manifest_does_not_know(image: Path) -> None:
    changed(image, lambda data: without(data, "inventory_sha256"))
    found, _ = beside.of(image)
    assert found
    assert (found.inventory, found.why) == (None, "")


def test_a_damaged_inventory_with_the_right_checksum(image: Path) -> None:
    image.with_name(INVENTORY).write_bytes(b"{}")
    changed(image, lambda data: data.update(inventory_sha256=hashlib.sha256(b"{}").hexdigest()))
    found, _ = beside.of(image)
    assert found
    assert found.why.endswith("it is damaged")
