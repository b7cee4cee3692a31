"""Lint a folder of foreign kickstart files, and count the results.

    python -m bench.corpus FOLDER [--syntax RHEL9] [--compare] [--kickstrap]

Every file below FOLDER is read as a kickstart. If a file makes the linter crash, its name and the
traceback are printed, and the exit status is 1. With --compare, pykickstart itself reads every file
too, and a file that it accepts and lint refuses, or the reverse, is printed. With --kickstrap, it is
counted how many files have only commands, options and sections that kickstrap carries out or notes,
and what it refuses in the others. There a file that names no syntax is read with the newest one that
accepts it, as its owner would choose. Nothing is stored.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from pykickstart.parser import KickstartParser

from imagebuild.kickstart import external, syntax_version
from imagebuild.kickstart.handler import handler_class
from imagebuild.kickstart.parse import parse
from imagebuild.kickstart.parsed import Kickstart
from imagebuild.kickstrap.agent import supported

_CHOSEN = ("F43", "RHEL10", "RHEL9", "RHEL8", "RHEL7", "RHEL6")
"""The syntaxes for a file that names none, in this order."""


def main() -> int:
    """Lint all files and print the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--syntax")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--kickstrap", action="store_true")
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
    different = [path for path in files if _differs(path, syntax)] if arguments.compare else []
    if arguments.compare:
        print(f"{len(different)} files that pykickstart and lint judge differently", *different, sep="\n  ")
    if arguments.kickstrap:
        _report_kickstrap(files)
    return 1 if outcomes["failed"] or different else 0


def _report_kickstrap(files: list[Path]) -> None:
    """Print how many files kickstrap takes, and what it refuses by the number of files."""
    refused: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    read, taken, whole = 0, 0, 0
    for path in files:
        kickstart = _readable(path)
        if kickstart is None:
            continue
        read += 1
        tables = supported.by_tables(kickstart.handler, kickstart.text)
        found = {one.message.partition(" is not")[0] for one in tables if one.severity == "error"}
        refused.update(found)
        taken += not found
        alone.update(found if len(found) == 1 else ())
        whole += not any(one.severity == "error" for one in supported.check(kickstart.handler, kickstart.text))
    print(f"{read} files that a syntax accepts")
    print(f"{taken} ({taken / max(read, 1):.0%}) of them with only what kickstrap carries out or notes")
    print(f"{whole} of them without any error, values and packages included")
    print("refused, by files; in brackets: files in which nothing else is")
    for name, number in refused.most_common():
        print(f"  {number:6} ({alone[name]}) {name}")


def _readable(path: Path) -> Kickstart | None:
    """The file as the first syntax that accepts it reads it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return None
    own = syntax_version.own(text).version
    for version in _CHOSEN if own == syntax_version.NEWEST else (own,):
        kickstart = parse(text, version if version == supported.KICKSTART_VERSION else f"{version}+F43")
        if not kickstart.wrong:
            return kickstart
    return None


def _differs(path: Path, syntax: str | None) -> bool:
    """Whether pykickstart's own parser accepts a file that lint refuses, or the reverse."""
    findings = external.read_file(path, syntax).findings
    refused = any(problem.rule == "syntax" and problem.severity == "error" for problem in findings)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return not refused
    version = syntax or syntax_version.own(text).version
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            KickstartParser(handler_class(version)(), followIncludes=False).readKickstartFromString(text)
        except Exception:  # noqa: BLE001 - pykickstart raises anything for bad input
            return not refused
    return refused


if __name__ == "__main__":
    sys.exit(main())
