"""What an edit costs, beside the whole build: nothing changed, the last operation, the disk's size, a second recipe of the family, several at once.

python -m bench.rebuilds [--workdir DIR]
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import rounds
from imagebuild.build.scheduler import needed
from imagebuild.build.step_cache import Settings
from imagebuild.recipe.load import load
from imagebuild.store.store import Store

MANY = 8
"""Recipes that are built one after the other, and as many at once."""
RECIPE = """\
extends: debian-13
name: {name}
disk: {{size: {size}}}
operations:
  append:
    {more}
    - write-file: {{path: /etc/motd, text: "{text}"}}
"""
MORE = '- run-command: {command: "find / -xdev -type f -exec sha256sum {} + >/dev/null"}'
"""Something that takes its time, as the installation of packages does."""


@dataclass
class Builds:
    """Builds of a project of its own in ``folder``."""

    folder: Path

    def __post_init__(self) -> None:
        self.recipes = self.folder / "project" / "recipes"
        self.recipes.mkdir(parents=True, exist_ok=True)
        self.settings = Settings(Store(self.folder / "store"), self.folder / "out")

    def write(self, name: str, size: str = "4GiB", text: str = "one", more: str = MORE) -> None:
        """Write a recipe; ``text`` is what its last operation writes."""
        (self.recipes / f"{name}.yaml").write_text(RECIPE.format(name=name, size=size, text=text, more=more))

    def build(self, *words: str) -> float:
        """Seconds of a build."""
        begin = time.monotonic()
        where = ("--store", self.settings.store.root, "--output", self.settings.output)
        argv = [sys.executable, "-m", "imagebuild", "build", *words, "--quiet", *where]
        subprocess.run(argv, cwd=self.recipes.parent, env=os.environ, check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - begin


def measure(folder: Path) -> None:
    """What edits cost, then many at once; each with a store of its own."""
    edits(Builds(folder / "edits"))
    many(Builds(folder / "many"))


def edits(builds: Builds) -> None:
    """What each edit costs beside the whole."""
    builds.write("first")
    whole = builds.build("first")
    print(f"from nothing: {whole:.1f} s", flush=True)
    _tell("nothing changed", builds.build("first"), whole)
    builds.write("first", text="two")
    _tell("the last operation edited", builds.build("first"), whole)
    builds.write("first", text="two", size="5GiB")
    _tell("the disk's size edited", builds.build("first"), whole)
    builds.write("second")
    _tell("a second recipe of the family", builds.build("second"), whole)


def many(builds: Builds) -> None:
    """As many recipes at once as one after the other, each with its own installation; packages and installer are there before."""
    names = [f"recipe-{number}" for number in range(2 * MANY)]
    for name in ("before", *names):
        builds.write(name, more="")
    builds.build("before")
    serial = sum(builds.build(name) for name in names[:MANY])
    _tell(f"{MANY} recipes, one after the other", serial, serial)
    room = needed(load(str(builds.recipes / f"{names[-1]}.yaml")), builds.settings)
    with peak_of_memory() as peak:
        _tell(f"{MANY} others, --jobs 2", builds.build(*names[MANY:], "--jobs", "2"), serial)
    print(f"memory: at most {peak() >> 20} MiB in use; admitted: 2 x {room.memory >> 20} MiB")


def _tell(what: str, seconds: float, beside: float) -> None:
    print(f"{what:<44} {seconds:7.1f} s  {seconds / beside:.3f}", flush=True)


@contextmanager
def peak_of_memory() -> Iterator[Callable[[], int]]:
    """The most bytes that QEMU and the builds had in use in the block, as the kernel shares them out (PSS)."""
    most, ended = 0, threading.Event()

    def look() -> None:
        nonlocal most
        while not ended.wait(1):
            most = max(most, sum(map(_in_use, Path("/proc").glob("[0-9]*"))))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield lambda: most
    finally:
        ended.set()
        thread.join()


def _in_use(process: Path) -> int:
    try:
        command = (process / "cmdline").read_bytes()
        if b"qemu-system" not in command and b"imagebuild" not in command:
            return 0
        return int((process / "smaps_rollup").read_text().partition("Pss:")[2].split()[0]) << 10
    except (OSError, ValueError, IndexError):
        return 0  # it has ended


if __name__ == "__main__":
    rounds.in_a_folder(__doc__ or "", "12 GiB", measure)
