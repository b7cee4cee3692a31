"""A containerDisk for KubeVirt: an OCI image layout whose only layer has the disks in ``/disk``.

KubeVirt's user guide ("Disks and Volumes"): the file is in /disk, readable by user and group 107,
QEMU's. Layout, manifest and configuration are those of the OCI Image Format Specification 1.0. The
layer is compressed with gzip, which every registry and runtime takes; its ``diff_id`` is the digest
of the uncompressed layer, which is computed while it is written.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imagebuild.exports import archive, disk_copies
from imagebuild.exports.export_source import ExportSource
from imagebuild.exports.guest_machine import Architecture
from imagebuild.exports.gzip_stream import FASTEST, GzipStream
from imagebuild.image.stream import Stream
from imagebuild.progress import Progress

MARKER = "oci-layout"
_QEMU = 107
_ARCHITECTURES: dict[Architecture, str] = {"x86_64": "amd64", "aarch64": "arm64"}
"""Names of Go's GOARCH."""
_TYPE = "application/vnd.oci.image"


def fill(source: ExportSource, target: Path, progress: Progress) -> None:
    """Make the layout. A disk that is not qcow2 is converted beside it first."""
    blobs = target / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    layer, diff_id = _layer(source, blobs, progress)
    config = _blob(blobs, f"{_TYPE}.config.v1+json", configuration(source, diff_id))
    about = labels(source)
    manifest = _blob(blobs, f"{_TYPE}.manifest.v1+json", {
        "schemaVersion": 2, "mediaType": f"{_TYPE}.manifest.v1+json", "config": config, "layers": [layer],
        "annotations": about,
    })  # fmt: skip
    name = {"org.opencontainers.image.ref.name": source.version.replace("+", "-") or "latest"}
    platform = {"architecture": _ARCHITECTURES[source.machine.architecture], "os": "linux"}
    index = {
        "schemaVersion": 2,
        "mediaType": f"{_TYPE}.index.v1+json",
        "manifests": [{**manifest, "platform": platform, "annotations": name}],
    }
    (target / "index.json").write_bytes(_json(index))
    (target / MARKER).write_bytes(_json({"imageLayoutVersion": "1.0.0"}))


def configuration(source: ExportSource, diff_id: str) -> dict[str, Any]:
    """The image's configuration; ``diff_id`` is the SHA-256 of the uncompressed layer."""
    created = datetime.fromtimestamp(source.time, UTC).isoformat().replace("+00:00", "Z")
    return {
        "created": created,
        "architecture": _ARCHITECTURES[source.machine.architecture],
        "os": "linux",
        "config": {"Labels": labels(source)},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
        "history": [{"created": created, "created_by": "imagebuild export"}],
    }


def labels(source: ExportSource) -> dict[str, str]:
    """What is known about the image, under the specification's names."""
    known = {"title": source.name, "version": source.version, "description": source.description}
    return {f"org.opencontainers.image.{name}": text for name, text in known.items() if text}


def disk_names(source: ExportSource) -> list[str]:
    """The names of the disks in ``/disk``."""
    return [f"{one.name}.qcow2" for one in source.each_disk()]


def temporary(source: ExportSource) -> int:
    """The bytes of the largest disk that must be converted."""
    return max((disk_copies.qcow2_size(disk) for disk in source.disks if disk.format != "qcow2"), default=0)


def result(source: ExportSource) -> int:
    """About the most bytes that the layout has."""
    return sum(map(disk_copies.qcow2_size, source.disks))


class _Hashed:
    """Passes bytes on to the compression, and computes their digest."""

    def __init__(self, target: GzipStream) -> None:
        self._target = target
        self.digest = hashlib.sha256()

    def tell(self) -> int:
        return self._target.tell()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._target.write(data)


def _layer(source: ExportSource, blobs: Path, progress: Progress) -> tuple[dict[str, Any], str]:
    """Write the layer; its descriptor, and the digest of the uncompressed layer."""
    path = blobs / "layer"
    with closing(Stream(path)) as stream:
        with GzipStream(stream, FASTEST) as packed:
            hashed = _Hashed(packed)
            with archive.opened(hashed, tarfile.PAX_FORMAT) as layer:
                _add_disks(layer, source, blobs, progress)
            packed.finish()
        digest = stream.finish()
    path.rename(blobs / digest)
    return _descriptor(f"{_TYPE}.layer.v1.tar+gzip", digest, stream.length), hashed.digest.hexdigest()


def _add_disks(layer: tarfile.TarFile, source: ExportSource, blobs: Path, progress: Progress) -> None:
    folder = archive.member("disk", 0, source.time, mode=0o555, owner=_QEMU)
    folder.type = tarfile.DIRTYPE
    layer.addfile(folder)
    for name, disk in zip(disk_names(source), source.disks, strict=True):
        made = blobs / "disk"
        path = disk_copies.as_qcow2(disk, made, progress)
        info = archive.member(f"disk/{name}", path.stat().st_size, source.time, mode=0o440, owner=_QEMU)
        archive.add_file(layer, info, path, progress)
        made.unlink(missing_ok=True)


def _blob(blobs: Path, media_type: str, content: dict[str, Any]) -> dict[str, Any]:
    """Write a JSON document under its digest; its descriptor."""
    data = _json(content)
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return _descriptor(media_type, digest, len(data))


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
