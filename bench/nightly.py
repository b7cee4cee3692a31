"""Compare a nightly run that has nothing to do with `plan` of the same images.

    python -m bench.nightly PROJECT [--rounds N] [--store STORE] [--images NAME...]

PROJECT is a folder whose images are built and published: `imagebuild nightly` is run there once before
anything is measured, and must find nothing new afterwards. Then both commands run alternately, with the same
question to the mirrors (`if_changed` of the project). For each: the median of the processor time of the
process and its children, and of the time on the clock; and their ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from imagebuild.project.load import load

HERE = Path(__file__).resolve().parent.parent


def measured(words: Sequence[str | Path], project: Path) -> tuple[float, float]:
    """The seconds of processor time and on the clock of a command."""
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    begin = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "imagebuild", *words],
        cwd=project,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # it has been waited for
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime, time.monotonic() - begin


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--images", nargs="*", default=["alpha", "beta", "gamma", "delta"])
    given = parser.parse_args()
    project = given.project.absolute()
    store = ("--store", given.store.absolute()) if given.store else ()
    config = load(project / "imagebuild.yaml").nightly
    commands = {
        "plan": ("plan", *given.images, *(["--if-changed"] if config.if_changed else []), *store),
        "nightly": ("nightly", *given.images, *store),
    }
    measured(commands["nightly"], project)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(given.rounds):
        for name, words in commands.items():
            found[name].append(measured(words, project))
    result = json.loads((project / config.reports / "nightly.json").read_text())
    assert not result["changed"]
    assert not result["failed"]
    print(f"{len(given.images)} images, if_changed: {config.if_changed}, median of {given.rounds}: processor, clock")
    medians = {}
    for name, values in found.items():
        medians[name] = [statistics.median(column) for column in zip(*values, strict=True)]
        print(f"{name:8} {medians[name][0]:6.2f} s {medians[name][1]:6.2f} s")
    ratios = [after / before for after, before in zip(medians["nightly"], medians["plan"], strict=True)]
    print(f"ratio    {ratios[0]:6.2f}   {ratios[1]:6.2f}")


if __name__ == "__main__":
    main()
