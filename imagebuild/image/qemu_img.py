"""Wraps qemu-img: copy, convert, check. The format is always given, never probed.

Compressed images are written by imagebuild.image instead.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any

from imagebuild.host.process import run
from imagebuild.image.disk_image import Format
from imagebuild.progress import SILENT, Progress

_LIMIT = 3600.0
_LEAKS_ONLY = 3
"""qemu-img(1): the exit status of a check that found leaked clusters but no corruption."""
_WRITES = 101
_NEEDS_IT_UNCHANGED = (100, 201)
"""The lock bytes of a consistent read, and of not sharing write permission."""
_FLOCK = "@hhqqi4x"
"""The layout of struct flock, see fcntl(2)."""
_PERCENT = re.compile(r"\(([\d.]+)/100%\)")


def create_raw(path: Path, size: int) -> None:
    """Create a sparse raw disk of ``size`` bytes, accessible to its owner only."""
    path.touch(mode=0o600, exist_ok=False)
    with path.open("r+b") as file:
        file.truncate(size)


def copy_file(source: Path, target: Path) -> None:
    """Make a sparse copy of an image file, sharing its blocks if the file system supports it."""
    run(["cp", "--sparse=always", "--reflink=auto", source, target], timeout=_LIMIT, hint="is the disk full?")


def dig_holes(path: Path) -> None:
    """Free the blocks of a file that contain only zeros, if the file system supports it."""
    run(["fallocate", "--dig-holes", path], timeout=_LIMIT, check=False)


def can_punch(folder: Path) -> bool:
    """Whether holes can be punched into a file in ``folder``, which QEMU's discard needs."""
    with NamedTemporaryFile(dir=folder) as file:
        file.write(b"\xff" * 8192)
        file.flush()
        done = run(
            ["fallocate", "--punch-hole", "--offset", "512", "--length", "4096", file.name], timeout=60, check=False
        )
        return done.returncode == 0 and os.pread(file.fileno(), 4096, 512) == bytes(4096)


def create_overlay(backing: Path, backing_format: str, overlay: Path, size: int | None = None) -> None:
    """Create an empty qcow2 overlay, accessible to its owner only, that leaves ``backing``
    unchanged. ``size`` in bytes makes its disk larger.
    """
    names: list[str | Path] = ["-F", backing_format, "-b", backing.absolute(), overlay]
    names += [] if size is None else [str(size)]
    run(["qemu-img", "create", "-q", "-f", "qcow2", *names], timeout=60)
    overlay.chmod(0o600)


def rename_backing(overlay: Path, backing: Path, backing_format: str) -> None:
    """Write another name of the same backing file into the header of a qcow2 overlay."""
    names: list[str | Path] = ["-F", backing_format, "-b", backing.absolute(), overlay]
    run(["qemu-img", "rebase", "-u", "-f", "qcow2", *names], timeout=60)


def to_raw(source: Path, source_format: Format, target: Path) -> None:
    """Write the disk of an image to the existing, empty file ``target``, with zeros as holes."""
    argv: list[str | Path] = ["qemu-img", "convert", "-W", "-m", "8", "-f", source_format, "-O", "raw", source, target]
    run(argv, timeout=_LIMIT, hint="is the disk full?")


def convert(
    source: Path,
    target: Path,
    target_format: str,
    *,
    options: Mapping[str, str] | None = None,
    compressed: bool = False,
    progress: Progress = SILENT,
    source_format: Format = "raw",
) -> None:
    """Write the disk ``source`` in another format, with options of ``qemu-img convert -o``."""

    def on_line(line: str) -> None:
        if match := _PERCENT.search(line):
            progress.update(f"writing {target_format}", float(match[1]) / 100)

    more = ["-o", ",".join(f"{name}={value}" for name, value in options.items())] if options else []
    more += ["-c", "-m", "8"] if compressed else []
    argv: list[str | Path] = [
        "qemu-img",
        "convert",
        "-p",
        "-f",
        source_format,
        "-O",
        target_format,
        *more,
        source,
        target,
    ]
    run(argv, timeout=_LIMIT, on_line=on_line, hint="is the file system of the artifact full?")


def check(image: Path, image_format: str) -> None:
    """Raise CommandFailed if the image is damaged."""
    run(["qemu-img", "check", "-f", image_format, image], timeout=_LIMIT)


def is_in_use(image: Path, *, to_write: bool) -> bool:
    """Whether a VM or another QEMU program writes the image or, with ``to_write``, relies on it not
    changing.

    This works for raw and qcow2: QEMU locks bytes of the file, one for each permission that it
    holds or does not share (block/file-posix.c; include/block/block-common.h numbers them).
    ``qemu-img info`` does not notice a raw image in use.
    """
    with image.open("rb") as file:
        return any(_is_locked(file.fileno(), byte) for byte in (_WRITES, *(_NEEDS_IT_UNCHANGED if to_write else ())))


def _is_locked(descriptor: int, byte: int) -> bool:
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked)
    except OSError:
        return False  # a file system without locks, where QEMU does not lock either
    return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)


def virtual_size(image: Path, image_format: Format) -> int:
    """The size in bytes of the disk that a guest sees."""
    return int(info(image, image_format)["virtual-size"])


def info(image: Path, image_format: Format) -> dict[str, Any]:
    """The output of ``qemu-img info`` for an image."""
    done = run(["qemu-img", "info", "-f", image_format, "--output", "json", image], timeout=60)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@dataclass(frozen=True)
class Clusters:
    """How many clusters of a qcow2 contain data, and how many of those are compressed."""

    allocated: int
    compressed: int


def clusters(image: Path) -> Clusters:
    """Count the clusters of a qcow2 from all of its tables. Raises CommandFailed if they are
    damaged.
    """
    done = run(["qemu-img", "check", "-f", "qcow2", "--output", "json", image], timeout=_LIMIT, check=False)
    if done.returncode not in (0, _LEAKS_ONLY):
        check(image, "qcow2")
    found = json.loads(done.stdout)
    return Clusters(found.get("allocated-clusters", 0), found.get("compressed-clusters", 0))


def read(image: Path, image_format: Format, offset: int, size: int) -> bytes:
    """Read the disk that a guest sees at ``offset``, a multiple of 512; fewer than ``size`` bytes
    at its end.
    """
    if image_format == "raw":
        with image.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    size = min(size, virtual_size(image, image_format) - offset)
    if size <= 0:
        return b""
    # Not `qemu-img dd`: QEMU 7.2's counts blocks from the start of the image, whatever the offset.
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
