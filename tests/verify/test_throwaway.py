"""What is kept of a throwaway machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from imagebuild.image import qemu_img
from imagebuild.verify import throwaway
from imagebuild.verify.subject import Subject, SubjectDisk, usual_machine


def info(path: Path) -> dict[str, Any]:
    done = subprocess.run(["qemu-img", "info", "-f", "qcow2", "--output=json", path], capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_overlays_that_are_kept_name_the_users_own_image(tmp_path: Path) -> None:
    """Even if the machine used a copy, which goes away with the run."""
    work, image = tmp_path / "work", tmp_path / "image.qcow2"
    work.mkdir()
    for path in (image, work / "image-0"):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1M"], check=True)
    qemu_img.create_overlay(work / "image-0", "qcow2", work / "clone-1-disk0.qcow2")
    subject = Subject("x", (SubjectDisk(image, "qcow2"),), usual_machine())
    setting: Any = type("Setting", (), {"work": work})
    (kept,) = throwaway.keep(subject, setting, tmp_path / "kept")
    assert kept == tmp_path / "kept" / "disk0.qcow2"
    assert info(kept)["backing-filename"] == str(image)
    assert info(kept)["backing-filename-format"] == "qcow2"
    assert kept.stat().st_mode & 0o777 == 0o600


def test_an_unpacked_disk_comes_along(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "image-0").write_bytes(bytes(1 << 20))
    qemu_img.create_overlay(work / "image-0", "raw", work / "clone-1-disk0.qcow2")
    subject = Subject("x", (SubjectDisk(tmp_path / "image.raw.zst", "raw.zst", 1 << 20),), usual_machine())
    setting: Any = type("Setting", (), {"work": work})
    (kept,) = throwaway.keep(subject, setting, tmp_path / "kept")
    assert info(kept)["backing-filename"] == str(tmp_path / "kept" / "disk0.raw")
    assert (tmp_path / "kept" / "disk0.raw").stat().st_size == 1 << 20
