"""Exports of a single disk: Compute Engine's archive by GNU tar, Azure's VHD by QEMU."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import tarfile
import uuid
from pathlib import Path

import pytest

from imagebuild.exports import azure, export_source, exporters, gce
from tests.exports.artifacts import MIB, MadeArtifact, made, run

GIB = 1 << 30


@pytest.fixture
def small(tmp_path: Path) -> MadeArtifact:
    return made(tmp_path)


def padded(raw: Path, size: int) -> Path:
    """The raw disk with zeros up to ``size`` bytes."""
    os.truncate(raw, size)
    return raw


@pytest.mark.seconds
def test_gnu_tar_unpacks_the_disk_for_compute_engine(small: MadeArtifact, tmp_path: Path) -> None:
    path = exporters.get("gce").write(export_source.of_artifact(small.artifact), tmp_path / "out")
    assert path.name == "small-2026-11-29.1.tar.gz"
    assert path.stat().st_size < 4 * MIB
    listed = run("tar", "--utc", "--full-time", "-tvzf", path).split()
    assert listed == ["-rw-r--r--", "0/0", str(GIB), "2026-11-29", "17:26:28", "disk.raw"]
    raw = padded(small.disks[0], GIB)
    command = f"tar -xzOf '{path}' disk.raw | cmp - '{raw}'"
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True, timeout=120)


@pytest.mark.seconds
def test_the_archive_is_in_the_old_format_of_gnu_tar(small: MadeArtifact, tmp_path: Path) -> None:
    path = exporters.get("gce").write(export_source.of_artifact(small.artifact), tmp_path / "out")
    own = tmp_path / "own.tar"
    padded(small.disks[0], GIB).rename(tmp_path / "disk.raw")
    run("tar", "--format=oldgnu", "-cf", own, "--owner=0", "--group=0", "--mode=0644", "-C", tmp_path, "disk.raw")
    with own.open("rb") as file:
        theirs = file.read(512)
    ours = subprocess.run(["bash", "-c", f"gzip -dc '{path}' | head -c 512"], check=True, capture_output=True).stdout
    assert ours[257:265] == theirs[257:265] == b"ustar  \0"
    assert ours[:136] == theirs[:136], "name, mode, owners, size"
    assert tarfile.TarInfo.frombuf(ours, "utf-8", "strict").type == tarfile.REGTYPE


@pytest.mark.parametrize(("size", "wanted"), [(512, GIB), (GIB, GIB), (GIB + 512, 2 * GIB), (10 * GIB, 10 * GIB)])
def test_compute_engine_wants_whole_gibibytes(size: int, wanted: int) -> None:
    assert gce.padded(size) == wanted


def test_qemu_reads_the_disk_for_azure(small: MadeArtifact, tmp_path: Path) -> None:
    path = exporters.get("azure").write(export_source.of_artifact(small.artifact), tmp_path / "out")
    assert path.stat().st_size == 41 * MIB + 512
    assert path.stat().st_blocks * 512 < 2 * MIB, "sparse"
    found = json.loads(run("qemu-img", "info", "-f", "vpc", "--output=json", path))
    assert found["virtual-size"] == 41 * MIB
    run("qemu-img", "compare", "-f", "raw", "-F", "vpc", padded(small.disks[0], 41 * MIB), path)


@pytest.mark.parametrize("size", [MIB, 41 * MIB, 4 << 30, 100 << 30, 2040 << 30])
def test_the_footer_is_that_of_qemu(tmp_path: Path, size: int) -> None:
    """Except for time and identifier, and the geometry, which QEMU sets to its largest value."""
    path = tmp_path / "qemu.vhd"
    run("qemu-img", "create", "-q", "-f", "vpc", "-o", "subformat=fixed,force_size=on", path, str(size))
    with path.open("rb") as file:
        file.seek(size)
        theirs = file.read()
    ours = azure.footer(size, 1_800_000_000, uuid.UUID(int=7))
    assert len(ours) == len(theirs) == 512
    for name, at, end in (("head", 0, 24), ("creator and sizes", 28, 56), ("type", 60, 64), ("rest", 84, 512)):
        assert ours[at:end] == theirs[at:end], name
    assert struct.unpack(">I", ours[24:28])[0] == 1_800_000_000 - 946_684_800
    assert sum(ours[:64] + bytes(4) + ours[68:]) + struct.unpack(">I", ours[64:68])[0] == (1 << 32) - 1


@pytest.mark.parametrize("size", [MIB, 41 * MIB, 504 * MIB, GIB, 4 * GIB, 31 * GIB, 100 * GIB, 127 * GIB])
def test_the_geometry_is_that_of_qemu(tmp_path: Path, size: int) -> None:
    """Without force_size, QEMU's disk has the geometry whose size is next to the wanted one."""
    path = tmp_path / "qemu.vhd"
    run("qemu-img", "create", "-q", "-f", "vpc", "-o", "subformat=fixed", path, str(size))
    with path.open("rb") as file:
        file.seek(-512, os.SEEK_END)
        theirs = struct.unpack(">HBB", file.read()[56:60])
    cylinders, heads, track = azure.geometry(size // 512)
    assert theirs[1:] == (heads, track)
    assert abs(theirs[0] - cylinders) <= 1, "QEMU rounds up"


@pytest.mark.parametrize(("size", "wanted"), [(512, MIB), (MIB, MIB), (MIB + 512, 2 * MIB)])
def test_azure_wants_whole_mebibytes(size: int, wanted: int) -> None:
    assert azure.padded(size) == wanted
