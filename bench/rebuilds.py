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
from pathlib import Path

from bench import rounds
from imagebuild.entries import Settings
from imagebuild.parallel import needed
from imagebuild.recipe.load import load
from imagebuild.store import Store

MANY = 8
"""Recipes that are built one after the other, and as many at once."""
RECIPE = """\
extends: debian-13
name: {name}
disk: {{size: {size}}}
operations:
  append:
    - run-command: {{command: "find / -xdev -type f -exec sha256sum {{}} + >/dev/null"}}
    - write-file: {{path: /etc/motd, text: "{text}"}}
"""


def measure(folder: Path) -> None:
    """Build in a project of its own in ``folder``, and tell the ratios."""
    store, out = folder / "rebuilds-store", folder / "rebuilds-out"
    recipes = folder / "project" / "recipes"
    recipes.mkdir(parents=True, exist_ok=True)

    def write(name: str, size: str = "4GiB", text: str = "one") -> None:
        (recipes / f"{name}.yaml").write_text(RECIPE.format(name=name, size=size, text=text))

    def build(*words: str) -> float:
        begin = time.monotonic()
        argv = [sys.executable, "-m", "imagebuild", "build", *words, "--quiet", "--store", store, "--output", out]
        subprocess.run(argv, cwd=recipes.parent, env=os.environ, check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - begin

    write("first")
    whole = build("first")
    print(f"from nothing: {whole:.1f} s")

    def tell(what: str, seconds: float, beside: float = whole) -> None:
        print(f"{what:<44} {seconds:7.1f} s  {seconds / beside:.3f}", flush=True)

    tell("nothing changed", build("first"))
    write("first", text="two")
    tell("the last operation edited", build("first"))
    write("first", text="two", size="5GiB")
    tell("the disk's size edited", build("first"))
    write("second")
    tell("a second recipe of the family", build("second"))
    names = [f"recipe-{number}" for number in range(2 * MANY)]
    for name in names:
        write(name)
    serial = sum(build(name) for name in names[:MANY])
    tell(f"{MANY} recipes, one after the other", serial)
    with peak_of_memory() as peak:
        tell(f"{MANY} others, --jobs 2; beside the former", build(*names[MANY:], "--jobs", "2"), serial)
    settings = Settings(Store(store), out)
    (recipes / "another.yaml").write_text(RECIPE.format(name="another", size="4GiB", text="one"))
    room = needed(load(str(recipes / "another.yaml")), settings)
    print(f"memory: at most {peak() >> 20} MiB in use; admitted: 2 x {room.memory >> 20} MiB")


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
