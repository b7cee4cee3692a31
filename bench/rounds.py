"""The command lines of what is measured: on a raw disk, or in a project of its own."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def main(about: str, disk: str, measure: Callable[[Path, Path, int], None]) -> None:
    """Call ``measure`` with a disk, which ``disk`` describes, a folder of its own and the number of the round, for each round."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("disk", type=Path, help=f"{disk}; it is not changed")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workdir", type=Path, help="where copies are made; needs twice the disk's data")
    arguments = parser.parse_args()
    for number in range(1, arguments.rounds + 1):
        with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.workdir) as folder:
            measure(arguments.disk, Path(folder), number)


def in_a_folder(about: str, room: str, measure: Callable[[Path], None]) -> None:
    """Call ``measure`` with a folder that QEMU's own user can reach, and leave nothing. ``room`` tells what it needs."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--workdir", type=Path, default=Path("/var/tmp"), help=f"needs about {room}")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.workdir) as name:
        Path(name).chmod(0o711)
        measure(Path(name))
