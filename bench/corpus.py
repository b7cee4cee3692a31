"""Lint a folder of foreign kickstart files, and count the results.

    python -m bench.corpus FOLDER [--syntax RHEL9]

Every file below FOLDER is read as a kickstart. If a file makes the linter crash, its name and the
traceback are printed, and the exit status is 1. Nothing is stored.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from imagebuild.kickstart import external, syntax_version


def main() -> int:
    """Lint all files and print the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--syntax")
    arguments = parser.parse_args()
    syntax = syntax_version.chosen(arguments.syntax) if arguments.syntax else None
    files = sorted(path for path in arguments.folder.rglob("*") if path.is_file())
    outcomes: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    slowest: list[tuple[float, Path]] = []
    begin = time.perf_counter()
    for path in files:
        started = time.perf_counter()
        try:
            report = external.read_file(path, syntax)
        except Exception:  # noqa: BLE001 - any exception is a result here
            outcomes["failed"] += 1
            print(f"{path}:\n{traceback.format_exc()}", file=sys.stderr)
            continue
        finally:
            slowest = sorted([*slowest, (time.perf_counter() - started, path)], reverse=True)[:3]
        outcomes["errors" if report.errors else "warnings" if report.findings else "clean"] += 1
        outcomes["read by pykickstart"] += not any(problem.rule == "syntax" for problem in report.findings)
        rules.update({str(problem.rule) for problem in report.findings})
    seconds = time.perf_counter() - begin
    print(f"{len(files)} files in {seconds:.1f} s")
    for counter in (outcomes, rules):
        for name, number in counter.most_common():
            print(f"  {number:6} {name}")
    for took, path in slowest:
        print(f"  {took * 1000:6.0f} ms {path.name}")
    return 1 if outcomes["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
