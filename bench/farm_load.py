"""Measure what a farm takes besides the builds: 1,000 images on 50 workers.

    python -m bench.farm_load [--images N] [--workers N] [--families N] [--faster N]

The scheduler is the program's own (`imagebuild farm scheduler`), with dask's scheduler in a process of its
own. The workers are real workers of dask, 25 in each process, with their offers. The client, the
placement, the ledger (SQLite), the store and the delivery of artifacts are the program's own. Only the
builds are not: each sleeps in a worker's thread for as long as the build of bench.farm takes, ``--faster``
times shorter, renews no claim, sends as many lines as a real build may, and hands over a small file.

What is compared is the same placement on a simulated clock, without any of it. The difference, in seconds,
is what the farm takes; divided by the time of the real builds (not shortened) it is the overhead.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
from distributed import Worker, get_worker

from bench.farm import images, simulate, workers
from imagebuild import fingerprint
from imagebuild.build.step_cache import Settings
from imagebuild.events import StepDone, StepRunning, StepStarted, data
from imagebuild.farm import delivery
from imagebuild.farm import site as sites
from imagebuild.farm.cluster import connected
from imagebuild.farm.coordinator import FarmBuilds
from imagebuild.farm.crew import Crew
from imagebuild.farm.offer import METRIC, WorkerOffer, resources
from imagebuild.farm.order import FarmImage, SharedSteps
from imagebuild.farm.placement import PlacedWork
from imagebuild.farm.request import BuildReply, BuildRequest
from imagebuild.farm.settings import FarmPlace
from imagebuild.farm.shared import SameFolder
from imagebuild.farm.software import Software
from imagebuild.ledger.address import parsed
from imagebuild.ledger.ledger import Ledger
from imagebuild.progress import SILENT_REPORTER
from imagebuild.store.artifact import MANIFEST, ArtifactFolder
from imagebuild.store.runs import new_run
from imagebuild.store.store import Store

_SOFTWARE = Software("bench", "0" * 64, "1", "1", "1")
_PER_PROCESS = 25
_LINES = 40
"""Lines of progress of a build."""
_WORD = "arch:bench"
_PAYLOAD = "payload"


@dataclass(frozen=True)
class SleepingImage(FarmImage):
    """An image that takes less once its shared result is there, as in the simulation."""

    rest: float = 0.0

    def work(self, build: int, never: frozenset[str] = frozenset()) -> PlacedWork:
        work = super().work(build, never)
        return work if work.makes else replace(work, seconds=self.rest)


class SleepingSite:
    """A worker's side of builds that sleep; one for all workers of a process."""

    def __init__(self, folder: Path, faster: float) -> None:
        self.store = Store(folder / "store")
        self.ledger = Ledger(parsed(str(folder / "ledger.sqlite")))
        self.images = {f"i{one.number}": one for one in images(*json.loads((folder / "images").read_text()))}
        self.faster = faster

    def build(self, request: BuildRequest) -> BuildReply:
        """Sleep as long as a build takes, and hand over an artifact."""
        worker = get_worker()
        claim = self.ledger.claim(request.build, f"{worker.name} {worker.address}", lease=3600)
        if claim is None:
            return BuildReply("superseded")
        image = self.images[request.image]

        def tell(event: object) -> None:
            line = json.dumps(data(event))
            worker.log_event(request.topic, {"build": claim.build, "fence": claim.fence, "line": line})

        with self.store.runs.workdir(new_run(f"farm-{request.image}"), shared=False) as work:
            name = fingerprint.text(image.family)
            if self.store.find(_PAYLOAD, name) is None:
                time.sleep(image.making / self.faster)
                with self.store.make(_PAYLOAD, name, within=work, label=image.family, inputs={}) as folder:
                    (folder / "result").write_text(name)
            tell(StepStarted(recipe=request.image, step="install"))
            for number in range(_LINES):
                tell(StepRunning(recipe=request.image, step="install", detail="sleeping", fraction=number / _LINES))
                time.sleep(image.rest / self.faster / _LINES)
            tell(StepDone(recipe=request.image, step="install", summary="slept", seconds=image.rest))
            entry = delivery.entry_name(claim, request.fingerprint, self.ledger.id)
            artifact = _artifact(work / "output", request)
            delivery.stored(artifact, entry, self.store, work)
            accepted = self.ledger.finish(claim, version=artifact.version, artifact=entry)
        return BuildReply("done" if accepted else "superseded")


def _artifact(output: Path, request: BuildRequest) -> Any:
    output.mkdir()
    with ArtifactFolder(output, request.image).new(date.today()) as new:  # noqa: DTZ011
        image = new.folder / f"{request.image}.qcow2"
        image.write_text(request.fingerprint)
        record = {"file": image.name, "size": image.stat().st_size}
        (new.folder / MANIFEST).write_text(json.dumps({"image": record, "fingerprint": request.fingerprint}))
    return ArtifactFolder(output, request.image).latest()


def _said(offer: dict[str, Any], _worker: Worker) -> dict[str, Any]:
    return offer


async def _work(folder: Path, address: str, first: int, count: int, of: int, faster: float) -> None:
    """Workers of dask in this process, until their scheduler ends."""
    site = SleepingSite(folder, faster)
    sites.enter(site)  # type: ignore[arg-type]
    shared = SameFolder(site.store)
    running = []
    for place in workers(of, 0)[first : first + count]:
        offer = WorkerOffer(
            str(place.key), place.room, place.jobs, frozenset({_WORD}), _SOFTWARE, site.ledger.id, shared.identity
        )
        worker = Worker(
            address, name=offer.name, nthreads=place.jobs, resources=resources(place.room, place.jobs), memory_limit=0,
            local_directory=str(folder / "scratch"), dashboard=False, dashboard_address="127.0.0.1:0",
            host="127.0.0.1", silence_logs=logging.ERROR,
        )  # fmt: skip
        await worker
        worker.metrics[METRIC] = partial(_said, offer.as_data())
        running.append(worker)
    print("ready", flush=True)
    await asyncio.gather(*(one.finished() for one in running))


@contextmanager
def _started(words: list[str], says: str) -> Iterator[psutil.Process]:
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        if says not in process.stdout.readline():
            raise RuntimeError(f"{words} did not start")
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def _order(folder: Path, count: int, families: int, faster: float) -> tuple[list[FarmImage], SameFolder, Store]:
    store = Store(folder / "store")
    shared = SameFolder(store)
    wanted = images(count, families, 0)
    results = {one.family: (_PAYLOAD, fingerprint.text(one.family)) for one in wanted}
    steps = SharedSteps(shared, frozenset(results.values()))
    found = [
        SleepingImage(
            recipe=SimpleNamespace(name=f"i{one.number}"),  # type: ignore[arg-type]
            fingerprint=fingerprint.text(f"image {one.number}"), recipe_word="", words=(), states={}, room=one.room,
            needs=frozenset({_WORD}), seconds=(one.rest + one.making) / faster, results=(results[one.family],),
            steps=steps, rest=one.rest / faster,
        )
        for one in wanted
    ]  # fmt: skip
    return found, shared, store


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def measure(folder: Path, count: int, families: int, crew: int, faster: float) -> None:
    """Build once, and print the figures."""
    (folder / "images").write_text(json.dumps([count, families, 0]))
    order, shared, store = _order(folder, count, families, faster)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with ExitStack() as open_:
        scheduler = open_.enter_context(
            _started(["-m", "imagebuild", "farm", "scheduler", "--address", address], "scheduler")
        )
        for first in range(0, crew, _PER_PROCESS):
            number = min(_PER_PROCESS, crew - first)
            words = ["-m", "bench.farm_load", "--serve", str(folder), address, str(first), str(number)]
            open_.enter_context(_started([*words, "--workers", str(crew), "--faster", str(faster)], "ready"))
        ledger = Ledger(parsed(str(folder / "ledger.sqlite")))
        cluster = open_.enter_context(connected(FarmPlace(address, None), secrets.token_hex(6)))
        builds = FarmBuilds(
            order, Settings(store, folder / "artifacts"), cluster, ledger, shared,
            Crew(_SOFTWARE, ledger.id, shared.identity, print), {}, SILENT_REPORTER, lambda _: None,
        )  # fmt: skip
        while len(cluster.offers() or ()) < crew:
            time.sleep(0.5)
        own = psutil.Process()
        before = _cpu(scheduler), _cpu(own)
        begin = time.monotonic()
        outcomes = builds.go()
        seconds = time.monotonic() - begin
        after = _cpu(scheduler), _cpu(own)
        ledger.close()
    failed = [one for one in outcomes if one.exit_code]
    perfect = simulate(images(count, families, 0), workers(crew, 0)).makespan
    took = [late - early for late, early in zip(after, before, strict=True)]
    extra = seconds - perfect / faster
    print(
        f"{count} images on {crew} workers, {threading.active_count()} threads here, builds {faster:g} times shorter:"
        f" {seconds:.1f} s, {perfect / faster:.1f} s by simulation: {extra:.1f} s more, {extra * faster / perfect:.3f};"
        f" of the {perfect:.0f} s of builds that are not shortened {extra / perfect:.4f} (goal: 0.02);"
        f" CPU s: dask's scheduler {took[0]:.1f}, client {took[1]:.1f}, together {sum(took) / perfect:.4f} of one"
        f" processor in that time; {len(failed)} failed",
        flush=True,
    )


def main() -> None:
    """Measure in a temporary folder, or serve as workers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--families", type=int, default=40)
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--faster", type=float, default=15.0)
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        folder, address, first, count = given.serve
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_work(Path(folder), address, int(first), int(count), given.workers, given.faster))
        return
    print(f"{os.cpu_count()} processors, load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        measure(Path(name), given.images, given.families, given.workers, given.faster)


if __name__ == "__main__":
    main()
