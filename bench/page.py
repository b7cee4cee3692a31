"""Measure the pages of many versions: written for the first time, again with nothing changed, and again
with one new version; and how much a browser loads for the index.

    python -m bench.page [--versions N] [--images N] [--files N] [--rounds N]

Beside them, in each round, the same inventories are only unpacked: what reading them costs at least. The
artifacts have small images, which nothing reads, and inventories of as many files as are asked for.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.startup import HERE, Taken

sys.path.insert(0, str(HERE / "tests" / "page"))

import page_artifacts

from imagebuild.contents.encoding import INVENTORY, unpacked


def taken(argv: list[str]) -> Taken:
    """Run a command of imagebuild."""
    begin = time.monotonic()
    env = {**os.environ, "PYTHONPATH": str(HERE)}
    with subprocess.Popen([sys.executable, "-m", "imagebuild", *argv], env=env, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"imagebuild {' '.join(argv)} failed")
    return Taken(used.ru_utime + used.ru_stime, time.monotonic() - begin)


def reading(artifacts: Path) -> Taken:
    """Unpack every inventory once."""
    begin, processor = time.monotonic(), time.process_time()
    for path in sorted(artifacts.glob(f"*/*-*/{INVENTORY}")):
        unpacked(path.read_bytes())
    return Taken(time.process_time() - processor, time.monotonic() - begin)


def weight(page: Path) -> int:
    """The bytes that a browser loads for the index: with its style sheet, icon and curves."""
    index = (page / "index.html").read_text(encoding="utf-8")
    curves = sum(path.stat().st_size for path in page.glob("images/*/*-curve.svg") if path.name in index)
    return len(index.encode()) + curves + sum((page / name).stat().st_size for name in ("style.css", "icon.svg"))


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--versions", type=int, default=50, help="of each image")
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--files", type=int, default=16000, help="in each guest")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    total = arguments.versions * arguments.images
    print(
        f"{os.cpu_count()} processors, load before: {os.getloadavg()[0]:.1f}; {total} versions, {datetime.now(UTC):%F}"
    )
    with tempfile.TemporaryDirectory(prefix="bench-page-", dir="/var/tmp") as name:
        folder = Path(name)
        artifacts, page = folder / "artifacts", folder / "public"
        page_artifacts.fleet(artifacts, images=arguments.images, versions=arguments.versions, files=arguments.files)
        argv = ["page", str(page), "--output", str(artifacts), "--store", str(folder / "store"), "--progress", "none"]
        cold = taken(argv)
        print("| | CPU s | clock s |\n|---|--:|--:|")
        _row("all inventories unpacked, nothing else", [reading(artifacts)])
        _row(f"{total} versions for the first time", [cold])
        _row("again, nothing changed", [taken(argv) for _ in range(arguments.rounds)])
        added = []
        for number in range(arguments.rounds):
            inventory = page_artifacts.guest(number, arguments.files)
            page_artifacts.artifact(artifacts, "web", arguments.versions + number, inventory=inventory)
            added.append(taken(argv))
        _row("again, one new version", added)
        print(f"index with style sheet and curves: {weight(page) / 1000:.0f} kB")


def _row(what: str, runs: list[Taken]) -> None:
    processor, clock = (
        statistics.median(values) for values in zip(*((r.processor, r.clock) for r in runs), strict=True)
    )
    print(f"| {what} | {processor:.2f} | {clock:.2f} |", flush=True)


if __name__ == "__main__":
    main()
