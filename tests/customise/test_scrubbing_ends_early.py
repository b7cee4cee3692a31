"""The command `imagebuild scrub` interrupted, killed, and out of space while its appliance is
running."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.guestfs, pytest.mark.timeout(600)]
WORKING = "reset-machine-id"
"""An operation that is reported once the appliance is running and has the disk open."""


@dataclass(frozen=True)
class Ended:
    code: int
    events: list[dict[str, Any]]


def start(image: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "imagebuild", "scrub", image, "--json", "--store", image.with_name("store"), *words],
        cwd=image.parent,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        # as in a terminal, even if these tests run in the background of a shell, which ignores it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def at_work(process: subprocess.Popen[str], word: str = WORKING) -> None:
    """Wait until the output says that it is doing this."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if word in line:
            return
    pytest.fail(f"it ended before any operation: {seen}")


def ended(process: subprocess.Popen[str]) -> Ended:
    stdout, _ = process.communicate(timeout=300)
    return Ended(process.returncode, [json.loads(line) for line in stdout.splitlines()])


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def processes(folder: Path) -> list[str]:
    """The command lines, including QEMU's, that contain something in ``folder``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found


@pytest.fixture
def image(installed_disk: Path, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk.raw"
    subprocess.run(["cp", "--sparse=always", installed_disk, path], check=True)
    yield path
    assert sorted(one.name for one in tmp_path.iterdir()) == ["disk.raw", "store"]
    assert processes(tmp_path) == []


@pytest.mark.parametrize(
    ("signum", "words"), [(signal.SIGINT, ()), (signal.SIGTERM, ("--in-place",))], ids=["Ctrl-C, swap", "end, in-place"]
)
def test_interrupted(image: Path, signum: signal.Signals, words: tuple[str, ...]) -> None:
    before = digest(image)
    process = start(image, *words)
    at_work(process)
    process.send_signal(signum)
    assert ended(process).code == 130
    assert digest(image) == before


@pytest.mark.parametrize("words", [(), ("--in-place",)], ids=["swap", "in-place"])
def test_killed_outright_and_started_again(image: Path, words: tuple[str, ...]) -> None:
    before = digest(image)
    process = start(image, *words)
    at_work(process)
    process.kill()
    process.communicate(timeout=60)
    assert digest(image) == before
    assert image.with_name(".disk.raw.imagebuild").is_dir()
    again = ended(start(image, *words))
    assert again.code == 0
    assert again.events[-1]["event"] == "scrubbed"
    assert digest(image) != before


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system is for root")
def test_a_file_system_that_gets_full_ends_it_soon(installed_disk: Path, tmp_path: Path) -> None:
    """Without a check of the free space, QEMU would wait for space until the time is over."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=640m", "imagebuild-test", small], check=True)
    try:
        image, filler = small / "disk.raw", small / "filler"
        subprocess.run(["cp", "--sparse=always", installed_disk, image], check=True)
        before = digest(image)
        process = start(image, "--in-place")
        at_work(process, "starting the appliance")
        with pytest.raises(OSError, match="No space"), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))
        failed = ended(process)
        assert failed.code == 3
        assert "is full" in failed.events[-1]["message"]
        assert digest(image) == before
        assert sorted(one.name for one in small.iterdir()) == ["disk.raw", "filler", "store"]
        assert processes(tmp_path) == []
    finally:
        subprocess.run(["umount", small], check=True)
