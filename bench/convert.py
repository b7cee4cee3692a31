"""Convert a disk, compared with the usual command: qemu-img convert -c.

    python -m bench.convert DISK.raw [--rounds N] [--workdir DIR]

Both read a disk that is already in memory, one after the other. Besides the elapsed time, the CPU
time is printed, which other load on the machine affects less. imagebuild's time includes the
SHA-256 of the image and a check of it. The goal: at most 0.3 of the time of qemu-img convert -c,
and an image that is not larger.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import rounds
from imagebuild.host.process import run
from imagebuild.image.conversion import convert
from imagebuild.image.formats import Format

GOAL = 0.3
_LIMIT = 3600.0


@dataclass(frozen=True)
class Taken:
    """Seconds of elapsed time and CPU time, including child processes; size of the result in bytes."""

    clock: float
    processors: float
    size: int


def measure(disk: Path, folder: Path, number: int) -> None:
    """Run one round of all conversions, one after the other."""
    print(
        f"round {number}: {disk.name}, {disk.stat().st_blocks * 512 / (1 << 20):.0f} MiB of data, load "
        f"{os.getloadavg()[0]:.1f}"
    )
    _into_memory(disk)
    plain = _qemu(disk, folder, [])
    _report("qemu-img convert -c", plain, plain)
    _report("qemu-img, zstd", _qemu(disk, folder, ["-o", "compression_type=zstd"]), plain)
    _report("imagebuild qcow2", _ours(disk, folder, "qcow2"), plain)
    every: tuple[Format, ...] = ("qcow2", "raw.zst", "vmdk")
    _report(f"imagebuild {', '.join(every)} together", _ours(disk, folder, *every), plain)
    print(f"  goal: {GOAL} of the time of qemu-img convert -c, 1.00 of its size")


def _into_memory(disk: Path) -> None:
    with disk.open("rb", buffering=0) as file:
        while file.read(1 << 22):
            pass


def _qemu(disk: Path, folder: Path, options: list[str]) -> Taken:
    argv = ["qemu-img", "convert", "-c", *options, "-f", "raw", "-O", "qcow2", disk]
    return _timed(lambda path: run([*argv, path["qcow2"]], timeout=_LIMIT), {"qcow2": folder / "theirs.qcow2"})


def _ours(disk: Path, folder: Path, *formats: Format) -> Taken:
    return _timed(lambda paths: convert(disk, paths), {name: folder / f"ours.{name}" for name in formats})


def _timed(work: Callable[[Mapping[Format, Path]], object], paths: Mapping[Format, Path]) -> Taken:
    begin, before = time.monotonic(), sum(os.times()[:4])
    work(paths)
    clock, processors = time.monotonic() - begin, sum(os.times()[:4]) - before
    size = sum(path.stat().st_size for path in paths.values())
    for path in paths.values():
        path.unlink()
    return Taken(clock, processors, size)


def _report(who: str, taken: Taken, plain: Taken) -> None:
    print(
        f"  {who:<40} {taken.clock:6.1f} s ({taken.clock / plain.clock:.2f}), CPU {taken.processors:6.1f} s"
        f" ({taken.processors / plain.processors:.2f}), {taken.size / (1 << 20):7.1f} MiB "
        f"({taken.size / plain.size:.2f})"
    )


if __name__ == "__main__":
    rounds.main(__doc__ or "", "a raw disk", measure)
