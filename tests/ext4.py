"""What is in an ext file system of a raw disk, read by e2fsprogs' debugfs: a moment, where an appliance takes its ten seconds."""

from __future__ import annotations

import subprocess
from pathlib import Path


def content(disk: Path, start: int, path: str) -> bytes:
    """The content of a file, in the file system that begins at ``start``, in MiB. FileNotFoundError if there is none.

    The disk must have been unmounted in peace: nothing replays a journal here.
    """
    argv = ["debugfs", "-R", f"cat {path}", f"{disk}?offset={start << 20}"]
    ran = subprocess.run(argv, capture_output=True, timeout=60, check=True)
    # It begins with its version, and its exit status tells nothing.
    told = ran.stderr.decode().splitlines()[1:]
    if any("File not found" in line for line in told):
        raise FileNotFoundError(path)
    assert told == []
    return ran.stdout


def exists(disk: Path, start: int, path: str) -> bool:
    """Whether there is such a file."""
    try:
        content(disk, start, path)
    except FileNotFoundError:
        return False
    return True
