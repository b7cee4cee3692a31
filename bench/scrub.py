"""Compare a scrub by this checkout with another checkout, or measure the cost of 100,000 files in
/tmp.

    python -m bench.scrub IMAGE --base CHECKOUT [--rounds N] [--workdir DIR]
    python -m bench.scrub --files [--workdir DIR]

CHECKOUT is a git worktree of the commit to compare with (`git worktree add ../base 526c021`). Both
run `imagebuild scrub IMAGE --output NEW` alternately, each with its own store, in which the working
accelerator is already cached; medians are compared. Goal: at most 0.75 of the other checkout's
time. ``--files`` scrubs an ext4 of 2 GiB with and without 100,000 files of 100 bytes in /tmp; goal:
less than 10 s more. The exit status is 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from imagebuild.guest import launch
from imagebuild.host import accelerator
from imagebuild.store.store import Store

GOAL = 0.75
GOAL_OF_FILES = 10.0
FILES = 100_000
HERE = Path(__file__).parents[1]
_LIMIT = 3600.0
_SIZE = 2 << 30
_TREE = {
    "etc/os-release": "NAME=Debian\nID=debian\nVERSION_ID=12\n",
    "etc/fstab": "/dev/vda / ext4 defaults 0 1\n",
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\n",
    "etc/group": "root:x:0:\n",
    "usr/lib/systemd/systemd": "",
    "var/log/syslog": "booted\n",
}
Seconds = tuple[float, float]
"""Elapsed time and CPU time."""


def compare(image: Path, base: Path, rounds: int, folder: Path) -> bool:
    """Scrub ``image`` with both checkouts alternately; True if the goal is met."""
    checkouts = {"this": HERE, "base": base}
    seconds: dict[str, list[Seconds]] = {who: [] for who in checkouts}
    for number in range(1, rounds + 1):
        # For the first one of a round, the image may not be in memory; so they also take turns in going first.
        for who in sorted(checkouts, reverse=bool(number % 2)):
            seconds[who].append(scrub(checkouts[who], image, folder, who))
            clock, processors = seconds[who][-1]
            print(
                f"round {number}, {who}: {clock:.1f} s, CPU {processors:.1f} s, load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    median = {who: [statistics.median(one) for one in zip(*each, strict=True)] for who, each in seconds.items()}
    ratios = [this / other for this, other in zip(median["this"], median["base"], strict=True)]
    for who, (clock, processors) in median.items():
        print(f"median of {rounds}, {who}: {clock:.1f} s, CPU {processors:.1f} s")
    print(f"this / base: {ratios[0]:.2f} of the elapsed time (goal: {GOAL}), {ratios[1]:.2f} of the CPU time")
    return ratios[0] <= GOAL


def files(folder: Path) -> bool:
    """Measure the cost of many files in /tmp; True if the goal is met."""
    seconds = {number: scrub(HERE, image, folder, "this") for number, image in _guests(folder, (0, FILES)).items()}
    for number, (clock, processors) in seconds.items():
        print(f"{number:,} files in /tmp: {clock:.1f} s, CPU {processors:.1f} s")
    more = seconds[FILES][0] - seconds[0][0]
    print(f"{FILES:,} files: {more:.1f} s more (goal: {GOAL_OF_FILES:.0f} s)")
    return more < GOAL_OF_FILES


def _guests(folder: Path, numbers: tuple[int, ...]) -> dict[int, Path]:
    """Raw images of a small guest with the given numbers of files in /tmp.

    An appliance fills them: mke2fs needs many minutes for that many files in one folder.
    """
    images = {number: folder / f"files-{number}.raw" for number in numbers}
    for image in images.values():
        with image.open("wb") as file:
            file.truncate(_SIZE)
    store = _store(folder, "this")
    archive = folder / "guest.tar"
    with launch.started(
        list(images.values()), "raw", accel=accelerator.verdict(store.probe_cache).accelerator, tmpdir=folder
    ) as session:
        for number, device in zip(numbers, session.g.list_devices(), strict=True):
            _archive(archive, number)
            session.g.mkfs("ext4", device)
            session.g.mount(device, "/")
            session.g.tar_in(str(archive), "/")
            session.g.umount_all()
    return images


def _archive(archive: Path, number: int) -> None:
    files = _TREE | {f"tmp/file-{one}": f"{one:0100}" for one in range(number)}
    with tarfile.open(archive, "w") as tar:
        for name in ("root", "home", "boot", "tmp"):
            folder = tarfile.TarInfo(f"./{name}")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(folder)
        for path, text in files.items():
            member = tarfile.TarInfo(f"./{path}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))


def _store(folder: Path, who: str) -> Store:
    """A store in which the working accelerator is cached."""
    store = Store(folder / f"store-{who}")
    store.root.mkdir(mode=0o700, exist_ok=True)
    accelerator.verdict(store.probe_cache)
    return store


def scrub(checkout: Path, image: Path, folder: Path, who: str) -> Seconds:
    """Time of a scrub of ``image`` with a checkout; the result is removed."""
    new = folder / f"{who}{image.suffix}"
    store = _store(folder, who)
    argv = [sys.executable, "-m", "imagebuild", "scrub", image, "--output", new, "--store", store.root]
    begin, before = time.monotonic(), _processors()
    done = subprocess.run(
        argv,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        cwd=folder,
        timeout=_LIMIT,
        check=False,
        capture_output=True,
        text=True,
    )
    clock, processors = time.monotonic() - begin, _processors() - before
    # 1: something could not be done and was reported; there is a result nevertheless.
    if done.returncode not in (0, 1) or not new.exists():
        raise SystemExit(f"scrub by {checkout} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    new.unlink()
    return clock, processors


def _processors() -> float:
    """CPU time of all child processes so far, including their children, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Run the requested measurements; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("image", type=Path, nargs="?", help="a raw or qcow2 image with a guest; it is not changed")
    parser.add_argument("--base", type=Path, help="the checkout to compare with")
    parser.add_argument("--files", action="store_true", help="measure the cost of many files in /tmp")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workdir", type=Path, default=Path("/var/tmp"), help="needs twice the image's size")
    arguments = parser.parse_args()
    if (arguments.image is None) != (arguments.base is None) or not (arguments.image or arguments.files):
        parser.error("IMAGE and --base, or --files, or all three are required")
    print(f"{os.cpu_count()} processors, load before: {os.getloadavg()[0]:.1f}", flush=True)
    met = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.workdir) as name:
        if arguments.image:
            met.append(compare(arguments.image.resolve(), arguments.base.resolve(), arguments.rounds, Path(name)))
        if arguments.files:
            met.append(files(Path(name)))
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
