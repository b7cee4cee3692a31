"""Results appear whole or not at all: they are made beside their place and renamed."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def folder(into: Path) -> Iterator[Path]:
    """A new folder that becomes ``into`` when the block ends well, and vanishes when it does not.

    At the end files are 0644 (programs 0755) and folders 0755: QEMU and mmdebstrap work as other users.
    """
    into.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{into.name}-", dir=into.parent))
    try:
        work.chmod(0o755)
        yield work
        for path in work.rglob("*"):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        work.rename(into)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def link(source: Path, target: Path) -> None:
    """``target`` is ``source`` by another name, or a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
