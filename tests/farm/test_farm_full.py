"""A worker whose disk is full in the middle of a build: a real file system, which somebody else fills."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from farm_places import shared
from farm_site import FarmSite, until

pytestmark = pytest.mark.seconds


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with 40 GiB, which takes up almost nothing here."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    image, place = tmp_path / "disk.img", tmp_path / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(40 << 30)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"file systems cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def fill(place: Path) -> None:
    """Leave no block free; hardly anything is written for that."""
    with (place / "ballast").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(place).free - (16 << 20))
    with suppress(OSError), (place / "rest").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk_sends_the_build_elsewhere(disk: Path, farm: FarmSite) -> None:
    with shared(farm, "folder", "sqlite") as place:
        (farm.folder / "w1").symlink_to(disk)
        farm.worker("w1", "--jobs", "1", "--store", farm.own_store("w1"))
        farm.is_ready("w1")
        for name in ("slow-1", "web"):
            farm.recipe(name)
        client = farm.build("slow-1", "web")
        until(lambda: any(one.get("step") == "install" for one in farm.events()))
        farm.worker("w2", "--jobs", "2", "--store", farm.own_store("w2"))
        farm.is_ready("w2")
        fill(disk)
        farm.go()
        assert client.wait(120) == 0, farm.log("client")
        assert "worker w1 could not do it: " in farm.notes()
        assert "o space left" in farm.notes(), farm.notes()
        farm.once("slow-1", "web")
        assert len(place.artifacts()) == 2
        farm.is_clean(farm.folder / "w1", farm.folder / "w2")
        farm.close()
