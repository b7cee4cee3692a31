"""What is exported: artifacts as they were built, and nothing that a hostile manifest points to."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from imagebuild.errors import CommandFailed, ImageBuildError, UsageError
from imagebuild.exports import export_source
from imagebuild.verify.subjects import image_subject
from tests.exports.artifacts import BUILT, MIB, MadeArtifact, made


@pytest.fixture
def small(tmp_path: Path) -> MadeArtifact:
    return made(tmp_path, sizes=(2 * MIB, MIB))


def test_an_artifact(small: MadeArtifact) -> None:
    source = export_source.of_artifact(small.artifact)
    assert (source.stem, source.description) == ("small-2026-11-29.1", "A small system")
    assert [(disk.path.name, disk.format, disk.size) for disk in source.disks] == [
        ("small.qcow2", "qcow2", 2 * MIB), ("small-disk2.qcow2", "qcow2", MIB),
    ]  # fmt: skip
    assert datetime.fromtimestamp(source.time, UTC).isoformat() == BUILT
    assert [one.stem for one in source.each_disk()] == ["small-2026-11-29.1", "small-disk2-2026-11-29.1"]
    assert not source.private


def test_images_that_only_their_owner_may_read_stay_private(small: MadeArtifact) -> None:
    (small.artifact.folder / "small-disk2.qcow2").chmod(0o600)
    assert export_source.of_artifact(small.artifact).private


def test_qcow2_is_preferred_and_raw_is_taken(tmp_path: Path) -> None:
    raw = made(tmp_path, sizes=(MIB,), image_format="raw")
    assert [disk.format for disk in export_source.of_artifact(raw.artifact).disks] == ["raw"]
    content = json.loads(raw.manifest.read_text())
    raw.change(image=content["image"] | {"format": "vmdk"})
    with pytest.raises(UsageError, match="neither a qcow2 nor a raw image"):
        export_source.of_artifact(raw.artifact)


def test_a_changed_image_is_refused(small: MadeArtifact) -> None:
    image = small.artifact.folder / "small-disk2.qcow2"
    data = bytearray(image.read_bytes())
    data[-1] ^= 1
    image.write_bytes(data)
    with pytest.raises(ImageBuildError, match="was changed after it was built"):
        export_source.of_artifact(small.artifact)


@pytest.mark.parametrize("name", ["../small.qcow2", "/etc/passwd", "missing.qcow2", "link.qcow2", "", "."])
def test_only_files_in_the_folder_itself_are_read(small: MadeArtifact, name: str) -> None:
    (small.artifact.folder / "link.qcow2").symlink_to("small.qcow2")
    (small.artifact.folder.parent / "small.qcow2").write_bytes(b"outside")
    image = json.loads(small.manifest.read_text())["image"]
    small.change(image=image | {"file": name})
    with pytest.raises(UsageError, match="does not contain the image"):
        export_source.of_artifact(small.artifact)


@pytest.mark.parametrize(
    "values",
    [{"image": None}, {"image": {"file": "small.qcow2"}}, {"extra_images": 7}],
    ids=str,
)
def test_a_damaged_manifest_is_refused(small: MadeArtifact, values: dict[str, object]) -> None:
    small.change(**values)
    with pytest.raises(UsageError):
        export_source.of_artifact(small.artifact)


def test_names_that_are_no_file_names_are_refused(small: MadeArtifact) -> None:
    for bad in ({"version": "1/2"}, {"recipe": "../x"}, {"version": ""}, {"recipe": "-x"}):
        artifact = replace(small.artifact, **bad)
        if "recipe" in bad:
            (small.artifact.folder / f"{bad['recipe']}.xml").resolve().write_bytes(
                (small.artifact.folder / "small.xml").read_bytes()
            )
        with pytest.raises(UsageError, match="cannot be part of a file name"):
            export_source.of_artifact(artifact)


def test_odd_values_of_a_manifest(small: MadeArtifact) -> None:
    small.change(description="a\x00b\x1b[2J\u202e" + "c" * 900, built={"ended": "9999-99-99"})
    source = export_source.of_artifact(small.artifact)
    assert source.description == "ab[2J" + "c" * 495
    assert datetime.fromtimestamp(source.time, UTC).isoformat() == "1980-01-01T00:00:00+00:00"
    for built in ({"ended": "0001-01-01T00:00:00+14:00"}, {"ended": "2300-01-01"}, [], None, {"ended": 7}):
        small.change(built=built, description=built)
        assert export_source.of_artifact(small.artifact).time == source.time


def test_a_missing_definition_is_reported(small: MadeArtifact) -> None:
    small.artifact.domain.unlink()
    with pytest.raises(UsageError, match="is missing: it is the machine"):
        export_source.of_artifact(small.artifact)
    small.artifact.domain.symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="it is a link"):
        export_source.of_artifact(small.artifact)


def test_a_truncated_image_file_is_refused(small: MadeArtifact) -> None:
    image = small.artifact.folder / "small.qcow2"
    os.truncate(image, image.stat().st_size // 2)
    with pytest.raises(CommandFailed, match="qemu-img"):
        export_source.of_subject(image_subject(image, ()))


@pytest.mark.parametrize(
    ("file", "name"), [("my image (1).raw", "my-image-1"), ("..raw", "image"), ("ünï.raw", "n"), ("a.b.raw", "a.b")]
)
def test_an_image_file(small: MadeArtifact, tmp_path: Path, file: str, name: str) -> None:
    path = small.disks[0].rename(tmp_path / file)
    source = export_source.of_subject(image_subject(path, ()))
    assert (source.stem, source.version, source.disks[0].size) == (name, "", 2 * MIB)
    assert source.machine.memory == 2 << 30
    assert export_source.of_subject(image_subject(path, ()), "web").stem == "web"
    with pytest.raises(UsageError, match="cannot be part of a file name"):
        export_source.of_subject(image_subject(path, ()), "a/b")
