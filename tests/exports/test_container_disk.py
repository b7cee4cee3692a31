"""containerDisks: skopeo and umoci read the layout; what they do not check is checked here."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imagebuild.exports import container_disk, export_source, exporters
from tests.exports.artifacts import MIB, MadeArtifact, made, run

TAG = "2026-11-29.1"


@pytest.fixture
def small(tmp_path: Path) -> MadeArtifact:
    return made(tmp_path, sizes=(40 * MIB + 512, MIB))


@pytest.fixture
def layout(small: MadeArtifact, tmp_path: Path) -> Path:
    return exporters.get("container-disk").write(export_source.of_artifact(small.artifact), tmp_path / "out")


def blob(layout: Path, descriptor: dict[str, Any]) -> bytes:
    """A blob whose digest and size are those of its descriptor."""
    kind, digest = descriptor["digest"].split(":")
    data = (layout / "blobs" / kind / digest).read_bytes()
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (digest, descriptor["size"])
    return data


def documents(layout: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], bytes]:
    """Index, manifest, configuration and layer."""
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(blob(layout, index["manifests"][0]))
    return index, manifest, json.loads(blob(layout, manifest["config"])), blob(layout, manifest["layers"][0])


def test_digests_sizes_and_types(layout: Path) -> None:
    index, manifest, config, layer = documents(layout)
    assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert index["manifests"][0]["annotations"] == {"org.opencontainers.image.ref.name": TAG}
    assert index["manifests"][0]["platform"] == {"architecture": "amd64", "os": "linux"}
    assert (config["architecture"], config["os"]) == ("amd64", "linux")
    assert config["created"] == "2026-11-29T17:26:28Z"
    assert config["rootfs"] == {
        "type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(gzip.decompress(layer)).hexdigest()],
    }  # fmt: skip
    assert len(config["history"]) == len(manifest["layers"]) == 1
    assert manifest["layers"][0]["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    assert manifest["mediaType"] == index["manifests"][0]["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    used = {index["manifests"][0]["digest"], manifest["config"]["digest"], manifest["layers"][0]["digest"]}
    assert {f"sha256:{path.name}" for path in (layout / "blobs" / "sha256").iterdir()} == used


def test_the_disks_belong_to_qemu(layout: Path) -> None:
    *_, layer = documents(layout)
    path = layout.parent / "layer.tar"
    path.write_bytes(gzip.decompress(layer))
    with tarfile.open(path) as archive:
        found = [(one.name, one.uid, one.gid, oct(one.mode), one.type) for one in archive]
    assert found == [
        ("disk", 107, 107, "0o555", tarfile.DIRTYPE),
        ("disk/small.qcow2", 107, 107, "0o440", tarfile.REGTYPE),
        ("disk/small-disk2.qcow2", 107, 107, "0o440", tarfile.REGTYPE),
    ]


@pytest.mark.seconds
def test_umoci_unpacks_it(small: MadeArtifact, layout: Path, tmp_path: Path) -> None:
    run("umoci", "unpack", "--image", f"{layout}:{TAG}", tmp_path / "bundle")
    disks = tmp_path / "bundle" / "rootfs" / "disk"
    assert sorted(path.name for path in disks.iterdir()) == ["small-disk2.qcow2", "small.qcow2"]
    for raw, name in zip(small.disks, ("small.qcow2", "small-disk2.qcow2"), strict=True):
        status = (disks / name).stat()
        assert (status.st_uid, status.st_gid, int(status.st_mtime)) == (107, 107, 1795973188)
        run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, disks / name)


@pytest.mark.seconds
def test_skopeo_inspects_and_copies_it(layout: Path, tmp_path: Path) -> None:
    found = json.loads(run("skopeo", "inspect", f"oci:{layout}:{TAG}"))
    assert (found["Architecture"], found["Os"], found["Created"]) == ("amd64", "linux", "2026-11-29T17:26:28Z")
    assert found["Labels"]["org.opencontainers.image.title"] == "small"
    run("skopeo", "--insecure-policy", "copy", f"oci:{layout}:{TAG}", f"oci:{tmp_path / 'copy'}:{TAG}")
    ours = {path.name for path in (layout / "blobs" / "sha256").iterdir()}
    assert {path.name for path in (tmp_path / "copy" / "blobs" / "sha256").iterdir()} == ours


def test_names_and_architectures(small: MadeArtifact) -> None:
    source = export_source.of_artifact(small.artifact)
    arm = replace(source, machine=replace(source.machine, architecture="aarch64"), version="", description="")
    config = container_disk.configuration(arm, "0" * 64)
    assert config["architecture"] == "arm64"
    assert config["config"] == {"Labels": {"org.opencontainers.image.title": "small"}}


def test_an_image_without_a_version_is_the_latest(small: MadeArtifact, tmp_path: Path) -> None:
    source = export_source.of_artifact(small.artifact)
    for version, tag in (("", "latest"), ("1.0+deb13", "1.0-deb13")):
        path = exporters.get("container-disk").write(replace(source, version=version), tmp_path / tag)
        assert documents(path)[0]["manifests"][0]["annotations"] == {"org.opencontainers.image.ref.name": tag}
