"""`imagebuild export`: what it prints, its exit codes, and an interruption."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.exports.artifacts import MIB, MadeArtifact, made

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.fixture
def small(tmp_path: Path) -> MadeArtifact:
    return made(tmp_path, sizes=(2 * MIB, MIB))


def run(folder: Path, *argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "imagebuild", "export", *argv],
        cwd=folder, check=False, capture_output=True, text=True, timeout=120, env=ENVIRONMENT,
    )  # fmt: skip


@pytest.mark.seconds
def test_a_recipe_by_name(small: MadeArtifact, tmp_path: Path) -> None:
    (small.artifact.folder.parent / "latest").symlink_to("2026-11-29.1")
    done = run(tmp_path, "small", "azure", "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == ["out/small-2026-11-29.1.vhd", "out/small-disk2-2026-11-29.1.vhd"]
    assert re.match(r"small  export +\d+:\d\d  azure, 3 MiB\n", done.stdout)
    again = run(tmp_path, "small", "azure", "out")
    assert again.returncode == 2
    assert "already exists" in again.stderr
    assert "--force" in again.stderr
    assert run(tmp_path, "small", "azure", "out", "--force").returncode == 0


@pytest.mark.seconds
def test_an_image_file_as_json(small: MadeArtifact, tmp_path: Path) -> None:
    done = run(tmp_path, small.disks[0], "vagrant", "out", "--name", "web", "--memory", "1GiB", "--json")
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    path = tmp_path / "out" / "web.box"
    assert last == {
        "schema": 1, "event": "exported", "image": str(small.disks[0]), "format": "vagrant",
        "files": [{"path": "out/web.box", "size": path.stat().st_size}],
    }  # fmt: skip
    listed = subprocess.run(["tar", "-xzOf", path, "Vagrantfile"], check=True, capture_output=True, text=True).stdout
    assert "libvirt.memory = 1024\n" in listed


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["missing", "ova", "out"], 2, "neither a file nor a folder"),
        (["small.raw", "vdi", "out"], 2, "Invalid value for 'FORMAT'"),
        (["small.raw", "ova", "small.raw"], 2, "is a file"),
        (["small.raw", "ova", "out", "--name", "a/b"], 2, "cannot be part of a file name"),
        (["artifacts/small/2026-11-29.1", "ova", "/proc/none/out"], 3, "cannot make /proc/none/out"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_mistakes_are_one_sentence(
    small: MadeArtifact, tmp_path: Path, argv: list[str], code: int, message: str
) -> None:
    assert small.disks
    done = run(tmp_path, *argv)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("name", "signum"), [("ova", signal.SIGINT), ("gce", signal.SIGTERM), ("container-disk", signal.SIGINT)]
)
def test_an_interruption_leaves_nothing(tmp_path: Path, name: str, signum: signal.Signals) -> None:
    image = tmp_path / "noise.raw"
    image.write_bytes(bytes(510) + b"\x55\xaa" + os.urandom(120 * MIB - 512))
    process = subprocess.Popen(
        [sys.executable, "-m", "imagebuild", "export", image, name, tmp_path / "out"],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        end = time.monotonic() + 60
        while not written(tmp_path / "out") and time.monotonic() < end:
            time.sleep(0.05)
        assert written(tmp_path / "out")
        process.send_signal(signum)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert b"interrupted" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["noise.raw"]


def written(folder: Path) -> bool:
    return any(path.stat().st_size > MIB for path in folder.rglob("*") if path.is_file())
