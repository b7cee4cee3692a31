"""Artifacts with small disks, for the tests of exports."""

from __future__ import annotations

import json
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagebuild.files import sha256
from imagebuild.machine.domain_xml import definition
from imagebuild.store.artifact import Artifact
from tests.recipe.recipes import recipe

MIB = 1 << 20
VERSION = "2026-11-29.1"
BUILT = "2026-11-29T17:26:28+00:00"


@dataclass(frozen=True)
class MadeArtifact:
    """An artifact, and its disks as raw files."""

    artifact: Artifact
    disks: tuple[Path, ...]

    @property
    def manifest(self) -> Path:
        return self.artifact.folder / "manifest.json"

    def change(self, **values: Any) -> None:
        """Change keys of the manifest."""
        self.manifest.write_text(json.dumps(json.loads(self.manifest.read_text()) | values))


def disk(path: Path, size: int, seed: int) -> Path:
    """A sparse raw disk with a boot sector, text, noise at two places, and zeros that take space."""
    with path.open("wb") as file:
        file.truncate(size)
        file.write(bytes(510) + b"\x55\xaa" + b"text that compresses well\n" * 4000)
        for offset, length in ((size // 3, 200_000), (size - 5000, 5000)):
            file.seek(offset)
            file.write(random.Random(seed).randbytes(length))
        file.seek(size // 2)
        file.write(bytes(100_000))
    return path


def made(
    folder: Path, *, sizes: tuple[int, ...] = (40 * MIB + 512,), image_format: str = "qcow2", more: str = ""
) -> MadeArtifact:
    """An artifact of the recipe ``small`` as a build writes it, with disks of these sizes in bytes."""
    home = folder / "artifacts" / "small" / VERSION
    home.mkdir(parents=True)
    extra = ", ".join("{size: 1GiB}" for _ in sizes[1:])
    value = recipe(f"extra_disks: [{extra}]\n{more}" if extra else more)
    disks, images = [], []
    for number, size in enumerate(sizes, start=1):
        name = "small" if number == 1 else f"small-disk{number}"
        raw = disk(folder / f"{name}.raw", size, number)
        image = home / f"{name}.{image_format}"
        options = ["-c", "-o", "compression_type=zstd"] if image_format == "qcow2" else []
        subprocess.run(
            ["qemu-img", "convert", "-f", "raw", "-O", image_format, *options, raw, image], check=True, timeout=60
        )
        disks.append(raw)
        images.append({
            "file": image.name, "format": image_format, "compression": "", "size": image.stat().st_size,
            "virtual_size": size, "sha256": sha256(image),
        })  # fmt: skip
    (home / "small.xml").write_text(definition(value))
    content = {
        "name": "small", "version": VERSION, "description": "A small system", "fingerprint": "f" * 64,
        "image": images[0], "extra_images": images[1:], "other_formats": [], "built": {"ended": BUILT},
    }  # fmt: skip
    (home / "manifest.json").write_text(json.dumps(content))
    return MadeArtifact(Artifact(home, "small", VERSION), tuple(disks))


def run(*argv: str | Path, **more: Any) -> str:
    """The output of a program that must succeed."""
    done = subprocess.run(argv, check=True, timeout=120, capture_output=True, text=True, **more)
    return done.stdout
