"""qemu-img: copy, convert, check. The format is always named, never probed. What is compressed, imagebuild.convert writes."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

from imagebuild.disk_image import Format
from imagebuild.progress import SILENT, Progress
from imagebuild.run import run

_LIMIT = 3600.0
_PERCENT = re.compile(r"\(([\d.]+)/100%\)")


def create_raw(path: Path, size: int) -> None:
    """A sparse raw disk of ``size`` bytes, readable by its owner alone."""
    path.touch(mode=0o600, exist_ok=False)
    with path.open("r+b") as file:
        file.truncate(size)


def copy_file(source: Path, target: Path) -> None:
    """A sparse copy of an image's file, sharing its blocks where the file system can."""
    run(["cp", "--sparse=always", "--reflink=auto", source, target], timeout=_LIMIT, hint="is there space left?")


def dig_holes(path: Path) -> None:
    """Free the blocks of a file that hold nothing but zeros, where the file system can."""
    run(["fallocate", "--dig-holes", path], timeout=_LIMIT, check=False)


def can_punch(folder: Path) -> bool:
    """Whether a file in ``folder`` can give up a part of itself, which then is zeros: what a discard of QEMU's needs of the host."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(b"\xff" * 8192)
        file.flush()
        done = run(
            ["fallocate", "--punch-hole", "--offset", "512", "--length", "4096", file.name], timeout=60, check=False
        )
        return done.returncode == 0 and os.pread(file.fileno(), 4096, 512) == bytes(4096)


def create_overlay(backing: Path, backing_format: Format, overlay: Path) -> None:
    """An empty qcow2, readable by its owner alone, that takes what is written and leaves ``backing`` alone."""
    names: list[str | Path] = ["-F", backing_format, "-b", backing.absolute(), overlay]
    run(["qemu-img", "create", "-q", "-f", "qcow2", *names], timeout=60)
    overlay.chmod(0o600)


def commit(overlay: Path) -> None:
    """Write what the overlay holds into its backing file. Can be repeated: the overlay stays as it was."""
    run(["qemu-img", "commit", "-q", "-d", "-f", "qcow2", overlay], timeout=_LIMIT, hint="is there space left?")


def convert(source: Path, target: Path, target_format: str, *, progress: Progress = SILENT) -> None:
    """Write the raw disk ``source`` in another format, uncompressed."""

    def told(line: str) -> None:
        if match := _PERCENT.search(line):
            progress.update(f"writing {target_format}", float(match[1]) / 100)

    argv: list[str | Path] = ["qemu-img", "convert", "-p", "-f", "raw", "-O", target_format, source, target]
    run(argv, timeout=_LIMIT, on_line=told, hint="is there space left on the file system of the artifact?")


def check(image: Path, image_format: str) -> None:
    """Raise CommandFailed if the image is damaged."""
    run(["qemu-img", "check", "-f", image_format, image], timeout=_LIMIT)


def virtual_size(image: Path, image_format: Format) -> int:
    """The size of the disk that a guest sees, in bytes."""
    told = run(["qemu-img", "info", "-f", image_format, "--output", "json", image], timeout=60)
    return int(json.loads(told.stdout)["virtual-size"])


def version() -> str:
    """QEMU's version as its tools print it."""
    first = run(["qemu-img", "--version"], timeout=20).stdout.splitlines()[0]
    return first.removeprefix("qemu-img version ").strip()
