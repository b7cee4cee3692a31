"""Compare how long short commands take with two versions of imagebuild, run alternately.

    git worktree add --detach /var/tmp/before 526c021
    python -m bench.startup /var/tmp/before [--rounds N] [--instructions] [--built STORE OUTPUT]

For each command: the median, over the rounds, of the processor time of the process and its children,
and of the time on the clock. The clock says little on a busy machine; the number of instructions
(``--instructions``, needs valgrind) is the same in each run. Both versions run with this interpreter
and its packages. With ``--built``, an unchanged build is measured, too: of debian-13 without verification,
whose image both versions must have in OUTPUT and STORE.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
# As the installed script: the name decides which variable click takes for completion.
_START = "import sys; sys.argv[0] = 'imagebuild'; from imagebuild.cli.main import main; main()"
_LIMIT = 300.0
STORES = Path(tempfile.gettempdir()) / f"imagebuild-bench-{os.getpid()}"
"""The stores of this run, one for each version; removed at its end."""


@dataclass(frozen=True)
class Short:
    """A command that should take no noticeable time: ``words``, and with ``completes`` the command line to complete."""

    name: str
    words: tuple[str, ...] = ()
    completes: str | None = None

    def environment(self, tree: Path) -> dict[str, str]:
        """The process's environment: without PYTHONDONTWRITEBYTECODE, which compiles everything in each run, and with
        a store for each version: an older one cannot use what a newer one has cached.
        """
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPATH"] = str(tree)
        env["IMAGEBUILD_STORE"] = str(STORES / tree.name)
        if self.completes is not None:
            words = f"imagebuild {self.completes}"
            env |= {"_IMAGEBUILD_COMPLETE": "bash_complete", "COMP_WORDS": words}
            env["COMP_CWORD"] = str(words.count(" "))
        return env


SHORT = (
    Short("imagebuild --version", ("--version",)),
    Short("imagebuild --help", ("--help",)),
    Short("imagebuild li<TAB>", completes="li"),
    Short("imagebuild lint --<TAB>", completes="lint --"),
    Short("imagebuild lint deb<TAB>", completes="lint deb"),
    Short("imagebuild lint debian-13.yaml", ("lint", "recipes/debian-13.yaml")),
    Short("imagebuild list", ("list",)),
    Short("imagebuild plan debian-13.yaml", ("plan", "recipes/debian-13.yaml")),
)


def unchanged(store: Path, output: Path) -> Short:
    """A build that has nothing to do."""
    words = ("build", "debian-13", "--no-verify", "--store", str(store), "--output", str(output))
    return Short("imagebuild build debian-13, unchanged", words)


@dataclass(frozen=True)
class Taken:
    """What one run took, in seconds."""

    processor: float
    clock: float


def measured(one: Short, tree: Path, folder: Path | None = None) -> Taken:
    """Run the command once with the package in ``tree``, in ``folder`` (default: ``tree``)."""
    begin = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", _START, *one.words],
        cwd=folder or tree,
        env=one.environment(tree),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0  # it has been waited for
    return Taken(used.ru_utime + used.ru_stime, time.monotonic() - begin)


def instructions(one: Short, tree: Path) -> int:
    """The instructions that the process executes, without those of its children."""
    argv = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run(
        [*argv, sys.executable, "-c", _START, *one.words],
        cwd=tree,
        env=one.environment(tree),
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT,
    )
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if found is None:
        raise SystemExit(f"valgrind counted nothing: {done.stderr[-500:]}")
    return int(found[1].replace(",", ""))


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("before", type=Path, help="a work tree of the version to compare with")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--built", nargs=2, type=Path, metavar=("STORE", "OUTPUT"), help="measure an unchanged build")
    parser.add_argument("--instructions", action="store_true", help="also count instructions, with valgrind")
    arguments = parser.parse_args()
    trees = (arguments.before.resolve(), HERE)
    STORES.mkdir(mode=0o700)
    try:
        _compare(trees, arguments)
    finally:
        shutil.rmtree(STORES)


def _compare(trees: tuple[Path, Path], arguments: argparse.Namespace) -> None:
    print(f"{os.cpu_count()} processors, load before: {os.getloadavg()[0]:.1f}; {arguments.rounds} rounds")
    print("| command | before: CPU s | clock s | after: CPU s | clock s | ratio of CPU | ratio of instructions |")
    print("|---|---|---|---|---|---|---|")
    for one in (*SHORT, *([unchanged(*map(Path.resolve, arguments.built))] if arguments.built else [])):
        for tree in trees * 3:
            measured(one, tree)  # its modules are compiled now, and what it remembers is remembered
        rounds = [[measured(one, tree) for tree in trees] for _ in range(arguments.rounds)]
        cells = [one.name]
        processor = []
        for taken in zip(*rounds, strict=True):
            processor.append(statistics.median(each.processor for each in taken))
            cells += [f"{processor[-1]:.3f}", f"{statistics.median(each.clock for each in taken):.3f}"]
        cells.append(f"{processor[1] / processor[0]:.2f}")
        counted = [instructions(one, tree) for tree in trees] if arguments.instructions else []
        cells.append(f"{counted[1] / counted[0]:.2f}" if counted else "-")
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
