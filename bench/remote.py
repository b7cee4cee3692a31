"""Compare builds on a fresh machine that has a warm remote store with a build from nothing.

    python -m bench.remote [--workdir DIR] [--rounds N]

One build fills the remote store; then new stores fetch from it over HTTP on the loopback interface,
which counts the bytes: an unchanged recipe, and one whose last operation was edited, in turn. CPU
seconds are user and system time of all processes of a build, those of its virtual machines included.
"""

from __future__ import annotations

import argparse
import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import zstandard

from bench.rebuilds import MORE, RECIPE

GOAL, GOAL_EDITED, GOAL_BYTES = 0.15, 0.35, 1.15
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Cost:
    """What a build took: seconds, CPU seconds, and bytes that arrived."""

    seconds: float
    cpu: float
    received: int = 0


@dataclass
class CpuWatch:
    """Samples the CPU time of all processes that mention a folder in their command line or environment."""

    folder: bytes
    seen: dict[tuple[int, str], float] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.ended.wait(0.1):
            self.look()

    def look(self) -> None:
        for place in Path("/proc").glob("[0-9]*"):
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
                if (int(place.name), fields[19]) not in self.seen:
                    said = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
                    if self.folder not in said:
                        continue
            except (OSError, ValueError):
                continue
            self.seen[int(place.name), fields[19]] = (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def total(self) -> float:
        return sum(self.seen.values())


class CountingHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and counts the bytes of its answers."""

    sent = 0
    protocol_version = "HTTP/1.1"

    def copyfile(self, source: Any, outputfile: Any) -> None:
        data = source.read()
        type(self).sent += len(data)
        outputfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL of a folder."""
    handler = partial(CountingHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Machines:
    """Builds one recipe, each time with a new store; ``folder`` is for everything."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.remote = folder, folder / "remote"
        self.project = folder / "project"
        (self.project / "recipes").mkdir(parents=True)
        self.remote.mkdir()
        self.write("one")
        (self.project / "key").write_text(os.urandom(32).hex() + "\n")
        (self.project / "imagebuild.yaml").write_text("store: {insecure: true, key: {file: key}}\n")

    def write(self, text: str) -> None:
        """Set the text that the last operation of the recipe writes."""
        recipe = RECIPE.format(name="fresh", size="4GiB", text=text, more=MORE)
        (self.project / "recipes" / "fresh.yaml").write_text(recipe)

    def build(self, machine: str, remote: str) -> Cost:
        """Build on a machine, which is fresh if it was not used before."""
        place, before = self.folder / machine, CountingHandler.sent
        argv = [
            sys.executable, "-m", "imagebuild", "build", "fresh", "--no-verify", "--remote-store", remote,
            "--store", f"{place}/store", "--output", f"{place}/out",
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "BENCH": str(place)}
        watch = CpuWatch(os.fsencode(place))
        thread = threading.Thread(target=watch.run)
        thread.start()
        begin = time.monotonic()
        try:
            with (self.folder / f"{machine}.log").open("w") as log:
                subprocess.run(argv, cwd=self.project, env=environment, check=True, stdout=log, stderr=log)
        finally:
            seconds = time.monotonic() - begin
            watch.ended.set()
            thread.join()
        return Cost(seconds, watch.total, CountingHandler.sent - before)

    def forget(self, machine: str) -> None:
        """Remove what a machine has."""
        shutil.rmtree(self.folder / machine)


def compressed(paths: list[Path]) -> int:
    """The bytes of files, compressed one by one by zstd at its usual level."""
    packer = zstandard.ZstdCompressor(level=3)
    total = 0
    for path in paths:
        with path.open("rb") as file:
            total += sum(len(some) for some in packer.read_to_iter(file))
    return total


def measure(folder: Path, rounds: int) -> None:
    """Fill the remote store, then build on fresh machines."""
    machines = Machines(folder)
    cold = machines.build("cold", str(machines.remote))
    print(f"cold: {cold.seconds:.1f} s, {cold.cpu:.1f} CPU s", flush=True)
    size = sum(path.stat().st_size for path in machines.remote.rglob("*") if path.is_file())
    print(f"remote store: {size / 1e6:.1f} MB", flush=True)
    image = next((folder / "cold" / "out" / "fresh").glob("[0-9]*"))
    used = compressed([path for path in image.iterdir() if path.is_file()])
    with served(machines.remote) as url:
        for number in range(1, rounds + 1):
            machines.write("one")
            cost = machines.build(f"warm{number}", url)
            _show(f"unchanged {number}", cost, cold, GOAL, used)
            machines.forget(f"warm{number}")
            machines.write(f"two {number}")
            name = f"edited{number}"
            cost = machines.build(name, url)
            parts = [p for kind in ("layer", "installed") for p in (folder / name / "store" / kind).rglob("*")]
            _show(f"last operation edited {number}", cost, cold, GOAL_EDITED,
                  compressed([path for path in parts if path.is_file()]))  # fmt: skip
            machines.forget(name)


def _show(what: str, cost: Cost, cold: Cost, goal: float, used: int) -> None:
    print(
        f"{what}: {cost.seconds:.1f} s, {cost.seconds / cold.seconds:.3f} of the cold build's; {cost.cpu:.1f} CPU s,"
        f" {cost.cpu / cold.cpu:.3f} (goal: {goal}); {cost.received / 1e6:.1f} MB arrived,"
        f" {cost.received / used:.3f} of {used / 1e6:.1f} MB compressed (goal: {GOAL_BYTES})",
        flush=True,
    )


def main() -> None:
    """Measure in a temporary folder that QEMU's own user can access."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workdir", type=Path, default=Path("/var/tmp"), help="needs about 8 GiB")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.workdir) as name:
        Path(name).chmod(0o711)
        measure(Path(name), arguments.rounds)


if __name__ == "__main__":
    main()
