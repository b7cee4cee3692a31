"""qemu-img: copy, convert, check. The format is always named, never probed. What is compressed, imagebuild.convert writes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

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


def read(image: Path, image_format: Format, offset: int, size: int) -> bytes:
    """What the disk that a guest sees has at ``offset``, a multiple of 512; less than ``size`` bytes where it ends before."""
    if image_format == "raw":
        with image.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    size = min(size, virtual_size(image, image_format) - offset)
    if size <= 0:
        return b""
    # Not `qemu-img dd`: that of QEMU 7.2 counts blocks from the start of the image, wherever it is told to begin.
    part = {"driver": "raw", "offset": offset, "size": -(-size // 512) * 512}
    whole = {"driver": image_format, "file": {"driver": "file", "filename": str(image.absolute())}}
    with TemporaryDirectory(prefix="imagebuild-") as folder:
        target = Path(folder) / "read"
        run(["qemu-img", "convert", "-O", "raw", f"json:{json.dumps(part | {'file': whole})}", target], timeout=60)
        return target.read_bytes()[:size]


def version() -> str:
    """QEMU's version as its tools print it."""
    first = run(["qemu-img", "--version"], timeout=20).stdout.splitlines()[0]
    return first.removeprefix("qemu-img version ").strip()
