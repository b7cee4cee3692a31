"""A farm on this machine: real scheduler, workers and clients, each a process, with fast fake builds."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

import imagebuild
from imagebuild.host import accelerator
from imagebuild.store.store import Store

ROOT = Path(imagebuild.__file__).resolve().parents[1]
FAKES = Path(__file__).with_name("fakes")
# the argument gives each recipe an installation of its own: otherwise one would wait for another's
RECIPE = """\
name: {name}
os: {{family: debian, version: 13, codename: trixie}}
disk: {{size: {size}}}
installer: {{mirror: http://127.0.0.1:9/debian}}
kernel_arguments: ["test.image={name}"]
operations: [write-file: {{path: /etc/motd, text: "{motd}"}}]
"""
WAIT = 120.0


def until(what: Callable[[], Any], seconds: float = WAIT) -> Any:
    """Wait for something to be true, and return it."""
    end = time.monotonic() + seconds
    while True:
        if found := what():
            return found
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@cache
def probed() -> bytes:
    """What this host's accelerator is, so that not each store of a farm has to try it."""
    with TemporaryDirectory(prefix="farm-probe-") as folder:
        kept = Path(folder) / "host.json"
        accelerator.verdict(kept)
        return kept.read_bytes()


@dataclass
class FarmSite:
    """A project with its farm."""

    folder: Path
    scheme: str = "tcp"
    tls: Sequence[str] = ()
    host: str = "127.0.0.1"
    is_fake: bool = True
    """Whether workers run fake builds."""
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    port: int = 0
    settings: dict[str, str] = field(default_factory=dict)
    """Further variables of all commands."""

    def __post_init__(self) -> None:
        for name in ("recipes", "control", "logs"):
            (self.folder / name).mkdir(parents=True)
        Store(self.store).probe_cache.write_bytes(probed())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    @property
    def address(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def control(self) -> Path:
        return self.folder / "control"

    def recipe(self, name: str, *, motd: str = "", size: str = "2GiB", more: str = "") -> None:
        text = RECIPE.format(name=name, size=size, motd=motd or name) + more
        (self.folder / "recipes" / f"{name}.yaml").write_text(text)

    def own_store(self, name: str) -> str:
        """The store of a machine that does not share the project's."""
        store = Store(self.folder / name)
        store.probe_cache.write_bytes(probed())
        return str(store.root)

    def environment(self, **more: str) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith("IMAGEBUILD")}
        fakes = {
            "PYTHONPATH": f"{FAKES}:{ROOT}",
            "IMAGEBUILD_FAKES": str(self.control),
            "IMAGEBUILD_FAKES_CODE": str(ROOT),
        }
        return {
            **env,
            **(fakes if self.is_fake else {"PYTHONPATH": str(ROOT)}),
            "IMAGEBUILD_STORE": str(self.store),
            "PYTHONWARNINGS": "default",
            **self.settings,
            **more,
        }

    def start(self, name: str, *words: str, within: Sequence[str] = (), **more: str) -> subprocess.Popen[str]:
        """Start a command; its output goes to logs/NAME. ``within`` are words in front of it."""
        with (self.folder / "logs" / name).open("w") as log:
            process = subprocess.Popen(
                [*within, sys.executable, "-P", "-m", "imagebuild", *words],
                cwd=self.folder, env=self.environment(**more), stdout=log, stderr=log, text=True,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def log(self, name: str) -> str:
        return (self.folder / "logs" / name).read_text()

    def scheduler(self, within: Sequence[str] = ()) -> subprocess.Popen[str]:
        process = self.start("scheduler", "farm", "scheduler", "--address", self.address, *self.tls, within=within)
        until(lambda: "scheduler at" in self.log("scheduler") or process.poll() is not None)
        assert process.poll() is None, self.log("scheduler")
        return process

    def worker(
        self, name: str, *words: str, tls: Sequence[str] | None = None, within: Sequence[str] = (), **more: str
    ) -> subprocess.Popen[str]:
        keys = self.tls if tls is None else tls
        options = ("--scheduler", self.address, "--name", name, "--memory", "8GiB", *keys, *words)
        return self.start(name, "worker", *options, within=within, **more)

    def is_ready(self, *names: str) -> None:
        """Wait until the scheduler knows these workers."""
        until(lambda: all(f"worker {name} of" in self.log(name) for name in names), 300)

    def build(
        self, *words: str, name: str = "client", tls: Sequence[str] | None = None, within: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        keys = self.tls if tls is None else tls
        return self.start(name, "farm", "build", *words, "--scheduler", self.address, *keys, "--json", within=within)

    def built(
        self, *words: str, code: int = 0, name: str = "client", within: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """The ends of builds that a client reports."""
        process = self.build(*words, name=name, within=within)
        assert process.wait(WAIT) == code, self.log(name)
        return self.ends(name)

    def ends(self, name: str = "client") -> list[dict[str, Any]]:
        return [one for one in self.events(name) if one["event"] in ("artifact", "error")]

    def events(self, name: str = "client") -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log(name).splitlines() if line.startswith("{")]

    def notes(self, name: str = "client") -> str:
        return "\n".join(one["text"] for one in self.events(name) if one["event"] == "note")

    def fakes(self, what: str) -> list[str]:
        """What the fake builds have written about ``what``."""
        log = self.control / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{what} ")]

    def go(self) -> None:
        (self.control / "go").touch()

    def versions(self, name: str) -> list[str]:
        folder = self.folder / "artifacts" / name
        return sorted(one.name for one in folder.iterdir() if not one.is_symlink()) if folder.exists() else []

    def begun(self, count: int) -> bool:
        """Whether so many builds have begun."""
        return len(self.fakes("begins")) >= count

    def is_clean(self, *stores: Path) -> None:
        """After `gc`, these stores (by default the project's) have no dead run, only those of workers that
        are still there, and no build runs.
        """
        for number, store in enumerate(stores or [self.store]):
            gc = self.start(f"gc{number}", "gc", "--keep", "10", "--store", str(store))
            assert gc.wait(60) == 0, self.log(f"gc{number}")
            runs = Store(store).runs
            assert not runs.dead()
            assert not [name for name in runs.living() if not name.startswith("worker-")]
        builds = [int(line.split()[1]) for line in self.fakes("begins")]
        assert not [pid for pid in builds if psutil.pid_exists(pid)]
        assert not list(Path(self.folder / "artifacts").glob("*/.*"))

    def once(self, *names: str) -> None:
        """Each image has one version, made of steps that were made once."""
        assert all(len(self.versions(name)) == 1 for name in names)
        made = [line for line in self.fakes("made") if line.split()[0] in ("runtime", "tree", "payload")]
        assert len(made) == len(set(made))

    def close(self) -> None:
        """End what still runs, the scheduler last."""
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
