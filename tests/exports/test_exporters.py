"""What all formats have in common: the same bytes every time, complete or absent."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from imagebuild.errors import HostError, UsageError
from imagebuild.exports import disk_copies, export_source, exporters, placing
from imagebuild.exports.export_source import ExportSource
from tests.exports.artifacts import MIB, made

NAMES = tuple(exporters.EXPORTERS)
QUICK = tuple(name for name in NAMES if name != "gce")
"""Google's format has at least 1 GiB."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> ExportSource:
    return export_source.of_artifact(made(tmp_path_factory.mktemp("made")).artifact)


def digests(path: Path) -> dict[str, str]:
    """The SHA-256 of each file of an export, by its name in it."""
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    return {one.relative_to(path.parent).as_posix(): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}


@pytest.mark.seconds
@pytest.mark.parametrize("name", NAMES)
def test_the_same_source_gives_the_same_bytes(source: ExportSource, tmp_path: Path, name: str) -> None:
    first = exporters.get(name).write(source, tmp_path / "1")
    copy = tmp_path / "copy.qcow2"
    shutil.copyfile(source.disks[0].path, copy)
    os.utime(copy, (1, 1))
    moved = replace(source, disks=(replace(source.disks[0], path=copy),))
    mask = os.umask(0o077)
    try:
        second = exporters.get(name).write(moved, tmp_path / "2")
    finally:
        os.umask(mask)
    assert digests(first) == digests(second)
    assert [path.name for path in (tmp_path / "1").iterdir()] == [f"small-2026-11-29.1{exporters.get(name).suffix}"]
    assert exporters.size_of(first) == sum(one.stat().st_size for one in (first, *first.rglob("*")) if one.is_file())


@pytest.mark.seconds
@pytest.mark.parametrize("name", NAMES)
def test_raw_and_qcow2_give_the_same_disk(tmp_path: Path, name: str) -> None:
    raw = export_source.of_artifact(made(tmp_path / "raw", image_format="raw").artifact)
    path = exporters.get(name).write(raw, tmp_path / "out")
    assert path.exists()
    assert [one.name for one in (tmp_path / "out").iterdir()] == [path.name]
    if name in ("azure", "gce", "ova"):
        disks = (made(tmp_path / "qcow2").artifact, raw)
        other = exporters.get(name).write(
            replace(export_source.of_artifact(disks[0]), description=raw.description), tmp_path / "other"
        )
        if name == "azure":  # its identifier is derived from the image file
            with path.open("rb") as one, other.open("rb") as two:
                assert one.read()[:-512] == two.read()[:-512]
        else:
            assert digests(path) == digests(other)


@pytest.mark.parametrize("name", QUICK)
def test_secrets_stay_private(source: ExportSource, tmp_path: Path, name: str) -> None:
    mask = os.umask(0)
    try:
        path = exporters.get(name).write(replace(source, private=True), tmp_path)
        other = exporters.get(name).write(replace(source, name="public"), tmp_path)
    finally:
        os.umask(mask)
    assert not any(one.stat().st_mode & 0o077 for one in (path, *path.rglob("*")))
    assert all(one.stat().st_mode & 0o044 == 0o044 for one in (other, *other.rglob("*")))
    assert not any(one.stat().st_mode & 0o022 for one in (other, *other.rglob("*")))


@pytest.mark.parametrize("name", QUICK)
def test_an_export_is_replaced_with_force_only(source: ExportSource, tmp_path: Path, name: str) -> None:
    path = exporters.get(name).write(source, tmp_path)
    before = digests(path)
    with pytest.raises(UsageError, match="already exists"):
        exporters.get(name).write(replace(source, description="other"), tmp_path)
    assert digests(path) == before
    assert exporters.get(name).write(replace(source, time=source.time + 1), tmp_path, force=True) == path
    assert digests(path) != before


@pytest.fixture
def small_file_system(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "imagebuild-test", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("name", QUICK)
def test_too_little_space_is_reported_first(source: ExportSource, small_file_system: Path, name: str) -> None:
    with pytest.raises(HostError, match=r"needs up to \d+ MiB in .*, but only 1 MiB are free"):
        exporters.get(name).write(source, small_file_system)
    assert list(small_file_system.iterdir()) == []


@pytest.mark.parametrize("name", QUICK)
def test_a_full_file_system_leaves_nothing(
    source: ExportSource, small_file_system: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "check_room", lambda *_: None)
    with pytest.raises(HostError, match=f"no space left \\({small_file_system}\\)"):
        exporters.get(name).write(source, small_file_system)
    assert list(small_file_system.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_estimate_is_not_exceeded(source: ExportSource, tmp_path: Path, name: str) -> None:
    path = exporters.get(name).write(source, tmp_path)
    taken = sum(one.stat().st_blocks * 512 for one in (path, *path.rglob("*")) if one.is_file())
    assert taken <= exporters.get(name).result(source)


@pytest.mark.parametrize("name", QUICK)
def test_an_interruption_leaves_nothing(
    source: ExportSource, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped:
        def update(self, _detail: str = "", _fraction: float | None = None) -> None:
            raise KeyboardInterrupt

        def summary(self, text: str) -> None:
            pass

    with pytest.raises(KeyboardInterrupt):
        exporters.get(name).write(source, tmp_path / "out", progress=Stopped())
    assert list(tmp_path.iterdir()) == []


def test_formats_of_one_disk_give_a_file_for_each(tmp_path: Path) -> None:
    source = export_source.of_artifact(made(tmp_path, sizes=(2 * MIB, MIB)).artifact)
    with pytest.raises(UsageError, match="holds one disk, and small has 2"):
        exporters.get("azure").write(source, tmp_path / "out")
    paths = exporters.get("azure").write_all(source, tmp_path / "out")
    assert [path.name for path in paths] == ["small-2026-11-29.1.vhd", "small-disk2-2026-11-29.1.vhd"]
    assert [path.stat().st_size for path in paths] == [2 * MIB + 512, MIB + 512]


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UsageError, match="no export format 'vdi'"):
        exporters.get("vdi")


def test_the_whole_disk_counts_as_data_of_a_raw_image(tmp_path: Path) -> None:
    raw = export_source.of_artifact(made(tmp_path, sizes=(40 * MIB,), image_format="raw").artifact)
    assert 3 * 4096 <= disk_copies.data_size(raw.disks[0]) < 2 * MIB
