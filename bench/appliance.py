"""Compare the start of libguestfs's appliance with `guestfish -a DISK run`.

    python -m bench.appliance [--rounds N] [--workdir DIR]

Both get the same accelerator and the same empty disk, and take turns. Measured is what a user waits
for: a whole process that starts the appliance, lists its disks, and ends it; with imagebuild's that
includes importing its modules. Both keep files for later, so each of them starts a few times before
that, uncounted. Goal: at most 0.45 of guestfish's time. The exit status is 1 if it is missed.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from imagebuild.guest import launch
from imagebuild.host import accelerator

GOAL = 0.45
_LIMIT = 1800.0
_SIZE = 4 << 30
Seconds = tuple[float, float]
"""Elapsed time and CPU time, the machine's included."""


def measured(argv: list[str], environment: dict[str, str]) -> tuple[Seconds, str]:
    """The time of a command that must succeed, and its output."""
    begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        argv, env=os.environ | environment, timeout=_LIMIT, check=False, capture_output=True, text=True
    )
    clock, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{argv[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return (clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), done.stdout


def compared(seconds: dict[str, list[Seconds]], ours: str, theirs: str, goal: float) -> list[float]:
    """Print the medians. Returns the ratios of elapsed time and of CPU time."""
    median = {who: [statistics.median(one) for one in zip(*each, strict=True)] for who, each in seconds.items()}
    for who, (clock, processors) in median.items():
        print(f"median of {len(seconds[who])}, {who}: {clock:.1f} s, CPU {processors:.1f} s")
    ratios = [one / other for one, other in zip(median[ours], median[theirs], strict=True)]
    print(f"{ours} / {theirs}: {ratios[0]:.2f} of the elapsed time (goal: {goal}), {ratios[1]:.2f} of the CPU time")
    return ratios


def compare(folder: Path, rounds: int, before: int) -> bool:
    """Start both alternately; True if the goal is met."""
    accel = accelerator.prove().accelerator
    disk = folder / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(_SIZE)
    settings = {"LIBGUESTFS_BACKEND": "direct"} | (
        {"LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"} if accel == "tcg" else {}
    )
    ways: dict[str, tuple[list[str], dict[str, str]]] = {
        "guestfish": (["guestfish", "--format=raw", "-a", str(disk), "run", ":", "list-devices"], settings),
        "imagebuild": ([sys.executable, "-m", "bench.appliance", "--once", str(disk), "--accelerator", accel], {}),
    }
    seconds: dict[str, list[Seconds]] = {who: [] for who in ways}
    for number in range(1 - before, rounds + 1):
        for who in sorted(ways, reverse=bool(number % 2)):
            spent, told = measured(*ways[who])
            if told.split() != ["/dev/sda"]:
                raise SystemExit(f"{who} has other disks: {told}")
            print(
                f"round {number}, {who}: {spent[0]:.1f} s, CPU {spent[1]:.1f} s, load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
            if number > 0:
                seconds[who].append(spent)
    ratios = compared(seconds, "imagebuild", "guestfish", GOAL)
    return ratios[0] <= GOAL


def once(disk: Path, accel: accelerator.Accelerator) -> None:
    """Start imagebuild's appliance with a disk, and list its disks."""
    with launch.started((disk,), "raw", accel=accel, tmpdir=disk.parent) as session:
        print(*session.g.list_devices())


def main() -> int:
    """Measure; 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    # The first start builds the appliance, the second one saves imagebuild's, and the third shows that it works.
    parser.add_argument("--before", type=int, default=3, help="starts that are not counted")
    parser.add_argument("--workdir", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--accelerator", choices=("kvm", "tcg"), default="tcg", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        once(arguments.once, arguments.accelerator)
        return 0
    print(f"{os.cpu_count()} processors, load before: {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.workdir) as name:
        return 0 if compare(Path(name), arguments.rounds, arguments.before) else 1


if __name__ == "__main__":
    sys.exit(main())
