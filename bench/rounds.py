"""Command lines of the benchmarks: on a raw disk, or in a new folder."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def main(about: str, disk: str, measure: Callable[[Path, Path, int], None]) -> None:
    """For each round, call ``measure`` with a disk, a new folder and the number of the round.

    ``disk`` describes the disk in the help.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("disk", type=Path, help=f"{disk}; it is not changed")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workdir", type=Path, help="where copies are made; needs twice the space of the disk's data")
    arguments = parser.parse_args()
    for number in range(1, arguments.rounds + 1):
        with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.workdir) as folder:
            measure(arguments.disk, Path(folder), number)


def in_a_folder(about: str, room: str, measure: Callable[[Path], None]) -> None:
    """Call ``measure`` with a temporary folder that QEMU's own user can access.

    ``room`` is the space that it needs, for the help.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--workdir", type=Path, default=Path("/var/tmp"), help=f"needs about {room}")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.workdir) as name:
        Path(name).chmod(0o711)
        measure(Path(name))
