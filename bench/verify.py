"""Measure a verification and a throwaway machine against one boot to login, side by side.

    python -m bench.verify FOLDER_OF_AN_ARTIFACT [--rounds N]

In each round: one clone is booted to its login and ended; a whole verification runs, with two
clones and all checks of the artifact; `run IMAGE -- true` runs. CPU seconds are those of the whole
machine, because libvirt starts the clones: let nothing else run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from imagebuild.build import verification
from imagebuild.cli.target import target
from imagebuild.host.process import run
from imagebuild.progress import SILENT_REPORTER
from imagebuild.store.artifact import Artifact
from imagebuild.store.store import Store, default_root
from imagebuild.verify.subject import Subject
from imagebuild.verify.subjects import artifact_subject


def main() -> None:
    """Print the seconds and CPU seconds of each round, and the medians of the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    found = target(arguments.folder, Path("artifacts"))
    assert isinstance(found, Artifact)
    subject = artifact_subject(found)
    ratios = []
    for _ in range(arguments.rounds):
        boot = _measured("one boot to login", lambda: _verified(replace(subject, checks=())))
        whole = _measured(f"verification, {len(subject.checks)} checks", lambda: _verified(subject))
        command = _measured("run -- true", lambda: _run(str(found.folder)))
        ratios.append((whole / boot, command / boot))
    for at, name in enumerate(("verification", "run -- true")):
        values = [round_[at] for round_ in ratios]
        each = ", ".join(f"{one:.2f}" for one in values)
        print(f"{name}: {statistics.median(values):.2f} of one boot to login ({each})")


def _measured(what: str, work: Callable[[], float | None]) -> float:
    """The seconds that ``work`` reports, or that it took."""
    begin, cpu = time.monotonic(), _busy()
    seconds = work() or time.monotonic() - begin
    print(f"{what:<26} {seconds:6.1f} s  {_busy() - cpu:6.1f} CPU s", flush=True)
    return seconds


def _verified(subject: Subject) -> float | None:
    """Verify; the seconds to login of a subject without checks."""
    with verification.verified(subject, Store(default_root()), SILENT_REPORTER, label=subject.name) as done:
        result = done.verification
    if result.failed:
        raise SystemExit(f"{subject.name}: {verification.summary(result)}")
    return None if subject.checks else result.seconds_to_login


def _run(folder: str) -> None:
    run([sys.executable, "-m", "imagebuild", "run", folder, "--", "true"], timeout=1200)


def _busy() -> float:
    """The CPU seconds that all processes have used since the host started."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system = map(int, fields[:3])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
