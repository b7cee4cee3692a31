"""Measure the cost of an edit compared with a full build.

    python -m bench.rebuilds [--workdir DIR]

The edits: nothing, the last operation, the disk's size, a second recipe of the family. Then several
builds in parallel.
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
"""Number of recipes built one after the other, and of those built in parallel."""
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
"""A slow operation, as the installation of packages is."""


@dataclass
class Builds:
    """Builds of a new project in ``folder``."""

    folder: Path

    def __post_init__(self) -> None:
        self.recipes = self.folder / "project" / "recipes"
        self.recipes.mkdir(parents=True, exist_ok=True)
        self.settings = Settings(Store(self.folder / "store"), self.folder / "out")

    def write(self, name: str, size: str = "4GiB", text: str = "one", more: str = MORE) -> None:
        """Write a recipe whose last operation writes ``text``."""
        (self.recipes / f"{name}.yaml").write_text(RECIPE.format(name=name, size=size, text=text, more=more))

    def build(self, *words: str) -> float:
        """Seconds of a build."""
        begin = time.monotonic()
        where = ("--store", self.settings.store.root, "--output", self.settings.output)
        argv = [sys.executable, "-m", "imagebuild", "build", *words, "--quiet", *where]
        subprocess.run(argv, cwd=self.recipes.parent, env=os.environ, check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - begin


def measure(folder: Path) -> None:
    """Measure edits, then parallel builds; each with its own store."""
    edits(Builds(folder / "edits"))
    many(Builds(folder / "many"))


def edits(builds: Builds) -> None:
    """Measure each edit compared with the full build."""
    builds.write("first")
    whole = builds.build("first")
    print(f"from scratch: {whole:.1f} s", flush=True)
    _report("nothing changed", builds.build("first"), whole)
    builds.write("first", text="two")
    _report("the last operation edited", builds.build("first"), whole)
    builds.write("first", text="two", size="5GiB")
    _report("the disk's size edited", builds.build("first"), whole)
    builds.write("second")
    _report("a second recipe of the family", builds.build("second"), whole)


def many(builds: Builds) -> None:
    """Build recipes one after the other, and as many others in parallel, each with its own
    installation.

    Packages and installer are built before.
    """
    names = [f"recipe-{number}" for number in range(2 * MANY)]
    for name in ("before", *names):
        builds.write(name, more="")
    builds.build("before")
    serial = sum(builds.build(name) for name in names[:MANY])
    _report(f"{MANY} recipes, one after the other", serial, serial)
    room = needed(load(str(builds.recipes / f"{names[-1]}.yaml")), builds.settings)
    with peak_of_memory() as peak:
        _report(f"{MANY} others, --jobs 2", builds.build(*names[MANY:], "--jobs", "2"), serial)
    print(f"memory: peak {peak() >> 20} MiB; admitted: 2 x {room.memory >> 20} MiB")


def _report(what: str, seconds: float, reference: float) -> None:
    print(f"{what:<44} {seconds:7.1f} s  {seconds / reference:.3f}", flush=True)


@contextmanager
def peak_of_memory() -> Iterator[Callable[[], int]]:
    """The peak memory of QEMU and the builds in the block, in bytes (PSS)."""
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
