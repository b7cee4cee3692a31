"""Measure the cost of an edit, and of a family of recipes, compared with a full build.

    python -m bench.rebuilds [--workdir DIR]

The edits of a recipe with a slow operation: nothing, the last operation, the disk's size. Then a family
without that operation, in another store: the first recipe, a second one that differs in its last operation,
a third one with two packages more, and ten others in parallel, all with different last operations.
Processor time, memory and what is written come from ``build --trace``: machines are included, except in
the memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench import rounds
from imagebuild.build.scheduler import needed
from imagebuild.build.step_cache import Settings
from imagebuild.recipe.load import load
from imagebuild.store.store import Store

MANY = 10
"""Number of recipes that are built in parallel."""
RECIPE = """\
extends: debian-13
name: {name}
disk: {{size: {size}}}
packages:
  append: [{packages}]
operations:
  append:
    {more}
    - write-file: {{path: /etc/motd, text: "{text}"}}
"""
MORE = '- run-command: {command: "find / -xdev -type f -exec sha256sum {} + >/dev/null"}'
"""A slow operation, as the installation of packages is."""
OTHERS = ("htop, rsync", "tmux", "lsof", "strace", "jq")
"""Packages that are installed in addition."""
GOALS = {"last operation": 0.07, "two packages more": 0.25, "ten": 2.5}


@dataclass(frozen=True)
class BuildCost:
    """What a build took: seconds on the clock and of processors, bytes written, and the peak memory of
    its programs without machines, in bytes.
    """

    clock: float
    cpu: float
    written: int
    memory: int


@dataclass
class Builds:
    """Builds of a new project in ``folder``."""

    folder: Path
    recipes: Path = field(init=False)
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        self.recipes = self.folder / "project" / "recipes"
        self.recipes.mkdir(parents=True, exist_ok=True)
        self.settings = Settings(Store(self.folder / "store"), self.folder / "out")

    def write(self, name: str, size: str = "4GiB", text: str = "one", more: str = MORE, packages: str = "") -> None:
        """Write a recipe whose last operation writes ``text``."""
        words = {"name": name, "size": size, "text": text, "more": more, "packages": packages}
        (self.recipes / f"{name}.yaml").write_text(RECIPE.format(**words))

    def build(self, *words: str) -> BuildCost:
        """Build, and say what it took."""
        trace = self.folder / "trace.json"
        where = ("--store", self.settings.store.root, "--output", self.settings.output, "--trace", trace)
        argv = [sys.executable, "-m", "imagebuild", "build", *words, "--quiet", "--no-verify", *where]
        begin = time.monotonic()
        subprocess.run(argv, cwd=self.recipes.parent, env=os.environ, check=True, stdout=subprocess.DEVNULL)
        clock = time.monotonic() - begin
        about = json.loads(trace.read_text())["otherData"]
        memory = int(about["peak_memory_without_machines_bytes"])
        return BuildCost(clock, about["cpu_seconds"], int(about["written_bytes"]), memory)


def measure(folder: Path) -> None:
    """Measure edits, then a family, each from an empty store."""
    edits(Builds(folder / "edits"))
    family(Builds(folder / "family"))


def edits(builds: Builds) -> None:
    """Measure each edit compared with the full build."""
    builds.write("first")
    whole = builds.build("first")
    _report("from scratch", whole, whole)
    _report("nothing changed", builds.build("first"), whole)
    builds.write("first", text="two")
    _report("the last operation edited", builds.build("first"), whole, GOALS["last operation"])
    builds.write("first", text="two", size="5GiB")
    _report("the disk's size edited", builds.build("first"), whole)


def family(builds: Builds) -> None:
    """Build a family, compared with its first recipe; of the ten, every other one has further packages."""
    builds.write("first", more="")
    whole = builds.build("first")
    _report("the first recipe of a family", whole, whole)
    builds.write("second", more="", text="second")
    _report("a second one", builds.build("second"), whole)
    builds.write("third", more="", text="third", packages="htop, rsync")
    _report("a second one with htop and rsync", builds.build("third"), whole, GOALS["two packages more"])
    names = [f"recipe-{number}" for number in range(MANY)]
    for number, name in enumerate(names):
        builds.write(name, more="", text=name, packages=OTHERS[number // 2] if number % 2 else "")
    room = needed(load(str(builds.recipes / f"{names[-1]}.yaml")), builds.settings)
    _report(f"{MANY} others of it, --jobs 2", builds.build(*names, "--jobs", "2"), whole, GOALS["ten"])
    print(f"memory admitted: 2 x {room.memory >> 20} MiB")


def _report(what: str, cost: BuildCost, whole: BuildCost, goal: float | None = None) -> None:
    ratios = f"{cost.clock / whole.clock:.3f} of the clock, {cost.cpu / whole.cpu:.3f} of the CPU"
    used = (
        f"{cost.clock:7.1f} s {cost.cpu:7.1f} CPU s {cost.written >> 20:6} MiB written {cost.memory >> 20:5} MiB memory"
    )
    aim = "" if goal is None else f" (goal: {goal})"
    print(f"{what:<34} {used}  {ratios}{aim}, load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    rounds.in_a_folder(__doc__ or "", "14 GiB", measure)
