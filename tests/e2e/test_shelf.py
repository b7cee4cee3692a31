"""The real virt-builder builds an image from a shelf, and that image boots."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from gpg_key import signer

from tests.shelf.peers import served, source, virt_builder

from .conftest import Ended, Project

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800), pytest.mark.usefixtures("nothing_left")]

GIB = 1 << 30


def first_partition(image: Path, scratch: Path) -> int:
    """The size of the first partition of a disk with a DOS table, in bytes."""
    argv = ["qemu-img", "dd", "-f", "qcow2", "-O", "raw", "bs=512", "count=1", f"if={image}", f"of={scratch}"]
    subprocess.run(argv, check=True)
    sectors: int = struct.unpack("<I", scratch.read_bytes()[446 + 12 : 446 + 16])[0]
    return sectors * 512


def test_virt_builder_builds_an_image_that_boots(project: Project, built: Ended, tmp_path: Path) -> None:
    shelf, image = project.folder / "shelf", project.folder / "from-shelf.qcow2"
    image.unlink(missing_ok=True)
    with signer(tmp_path / "gnupg", "Shelf <shelf@example.org>") as key:
        ended = project.run(
            "shelf", "build", str(shelf), "small", "--unverified", "--json",
            "--sign", "shelf@example.org", "--gpg-home", str(key.home),
        )  # fmt: skip
    assert ended.code == 0, ended.events[-1]
    with served(shelf) as url:
        virt_builder(
            tmp_path, "small", "--format", "qcow2", "--size", "3G", "--output", image, "--no-network",
            "--hostname", "from-shelf", "--memsize", "1024", "--root-password", "disabled",
            sources=source(f"{url}/index.asc", shelf / "key.asc"), timeout=1200,
        )  # fmt: skip
    # `expand` of the index names the partition that virt-resize has enlarged
    assert first_partition(image, tmp_path / "sector") > 2.9 * GIB
    checked = project.run("verify", str(image), "--check", "root-file-system", "--json")
    assert checked.code == 0, checked.events[-1]
    image.unlink()
