"""A worker's side of a build: claim it, run it, and hand over its artifact.

dask runs :func:`build` in a thread of the worker's process. Everything else here is set up when that
process starts.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from imagebuild.build import engine, scheduler
from imagebuild.build.step_cache import Settings
from imagebuild.errors import HostError, ImageBuildError, from_os
from imagebuild.events import ArtifactReady, ErrorReported, data
from imagebuild.farm import bundle, child, delivery
from imagebuild.farm.child import ChildEnd
from imagebuild.farm.request import BuildReply, BuildRequest, request_of
from imagebuild.farm.shared import FarmStore
from imagebuild.ledger.claims import LEASE, Claim
from imagebuild.ledger.ledger import Ledger
from imagebuild.log import logger
from imagebuild.schema.section import MIB
from imagebuild.store.artifact import Artifact
from imagebuild.store.runs import new_run
from imagebuild.store.store import Store

T = TypeVar("T")
STORE_PATIENCE = 600.0
"""Seconds that a worker with an artifact in its hands waits for a shared store or a ledger that is away."""
_AGAIN = 5.0
Tell = Callable[[str, dict[str, Any]], None]
"""Sends a message to whoever listens to a topic."""


@dataclass
class WorkerSite:
    """What builds on this worker use. ``holder`` names this process in the ledger."""

    store: Store
    ledger: Ledger
    shared: FarmStore
    holder: str
    tell: Tell
    words: tuple[str, ...] = ()
    """Options of builds that say where the remote store is."""
    lease: float = LEASE
    draining: bool = False
    handing_back: bool = False
    running: set[int] = field(default_factory=set)
    """The builds that run here."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def build(self, request: BuildRequest) -> BuildReply:
        """Run one build to its end. The ledger knows the result."""
        if self.draining:
            return BuildReply("declined", "it is being stopped")
        if reason := self._no_room(request):
            return BuildReply("declined", reason)
        claim = self.ledger.claim(request.build, self.holder, lease=self.lease)
        if claim is None:
            return BuildReply("superseded", "somebody else has it")
        with self._lock:
            self.running.add(request.build)
        heartbeat = _Heartbeat(self.ledger, claim, self.lease)
        try:
            return self._build(request, claim, heartbeat)
        except ImageBuildError as error:
            if self.handing_back:
                self.ledger.hand_back(claim, error.message)
                return BuildReply("handed back", error.message)
            self.ledger.unable(claim, error.message, error.hint or "")
            return BuildReply("failed", error.message)
        except OSError as error:
            self.ledger.unable(claim, from_os(error, f"in {self.store.root}").message)
            return BuildReply("failed", str(error))
        finally:
            heartbeat.end()
            with self._lock:
                self.running.discard(request.build)

    def _no_room(self, request: BuildRequest) -> str:
        """Why this host has no room now, whatever the scheduler knows: other programs use it, too."""
        there = scheduler.host(Settings(self.store, Path()))
        if there.memory < request.room.memory:
            return f"it has {there.memory // MIB} MiB of memory left, and {request.room.memory // MIB} are needed"
        if there.disk < request.room.disk:
            return f"it has {there.disk // MIB} MiB of disk space left, and {request.room.disk // MIB} are needed"
        return ""

    def _build(self, request: BuildRequest, claim: Claim, heartbeat: _Heartbeat) -> BuildReply:
        engine.clear_dead_runs(self.store)
        for name, state in request.states.items():
            self.store.set_state(name, state)
        with self.store.runs.workdir(new_run(f"farm-{request.image}"), shared=os.geteuid() == 0) as work:
            bundle.unpack(request.files, work / "project")
            output = work / "output"
            _reserve(output / request.image, request.after)
            words = ["build", request.recipe, "--image", request.image, "--json", "--store", str(self.store.root)]
            words += ["--output", str(output), *self.words, *request.words]

            def on_line(line: str) -> None:
                self.tell(request.topic, {"build": claim.build, "fence": claim.fence, "line": line})

            def why_stop() -> str:
                return "the worker is being stopped" if self.handing_back else heartbeat.lost

            ended = child.run(words, work / "project", on_line, why_stop)
            if heartbeat.lost:
                return BuildReply("superseded", heartbeat.lost)
            if isinstance(ended.end, ArtifactReady):
                return self._hand_over(request, claim, _artifact(ended.end, request, output), work, heartbeat)
            return self._failed(claim, ended, ended.end)

    def _hand_over(
        self, request: BuildRequest, claim: Claim, artifact: Artifact, work: Path, heartbeat: _Heartbeat
    ) -> BuildReply:
        """Put an artifact into the shared store; only then the ledger accepts it, or refuses it."""
        name = delivery.entry_name(claim, request.fingerprint, self.ledger.id)
        delivery.stored(artifact, name, self.store, work)
        accepted = False
        try:
            self._insist("the shared store", heartbeat, lambda: self.shared.push(delivery.KIND, name, self.store))
            accepted = self._insist(
                "the ledger", heartbeat, lambda: self.ledger.finish(claim, version=artifact.version, artifact=name)
            )
        finally:
            if not accepted or not self.shared.keeps_local():
                delivery.discard(name, self.store)
        return BuildReply("done") if accepted else BuildReply("superseded", "its claim had been taken over")

    def _insist(self, what: str, heartbeat: _Heartbeat, work: Callable[[], T]) -> T:
        """Do what needs something that may be away for a while: to give up would be to build all again on
        another worker. Raises HostError.
        """
        until = time.monotonic() + STORE_PATIENCE
        while True:
            try:
                return work()
            except HostError as error:
                if time.monotonic() >= until or self.handing_back or heartbeat.lost:
                    raise
                logger.warning("waiting for %s: %s", what, error)
            time.sleep(_AGAIN)

    def _failed(self, claim: Claim, ended: ChildEnd, error: ErrorReported) -> BuildReply:
        if ended.stopped:
            self.ledger.hand_back(claim, ended.stopped)
            return BuildReply("handed back", ended.stopped)
        evidence = json.dumps({**data(error), "worker": self.holder, "last_lines": ended.last})
        if error.exit_code == HostError.exit_code or "ended early" in error.message:
            self.ledger.unable(claim, error.message, evidence)
        else:
            self.ledger.fail(claim, error.message, evidence)
        return BuildReply("failed", error.message)


class _Heartbeat:
    """Renews a claim. If that was impossible for as long as a lease lasts, the claim counts as lost."""

    def __init__(self, ledger: Ledger, claim: Claim, lease: float) -> None:
        self.lost = ""
        self._ledger, self._claim, self._lease = ledger, claim, lease
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Renew no more."""
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        last = time.monotonic()
        while not self.lost and not self._ended.wait(self._lease / 4):
            try:
                if not self._ledger.renew(self._claim, lease=self._lease):
                    self.lost = "its claim was taken over"
                last = time.monotonic()
            except HostError as error:
                logger.warning("cannot renew the claim on %s: %s", self._claim.image, error)
                if time.monotonic() - last > self._lease:
                    self.lost = "the ledger could not be reached"


def _reserve(folder: Path, after: str) -> None:
    """Make the next version of today one that nobody has: the numbers up to ``after`` are taken."""
    folder.mkdir(parents=True)
    if after.rpartition(".")[0] == date.today().isoformat():  # noqa: DTZ011 - a version has the local date
        (folder / after).mkdir()


def _artifact(ready: ArtifactReady, request: BuildRequest, output: Path) -> Artifact:
    """The artifact that a build reported. Raises HostError if it is not the one that was asked for."""
    artifact = Artifact(output / request.image / ready.version, request.image, ready.version)
    if artifact.manifest().fingerprint != request.fingerprint:
        raise HostError(
            f"this worker makes another image of {request.image} than was asked for",
            "do its mirror, its store's key and the files that recipes name agree with those of the client?",
        )
    return artifact


_current: list[WorkerSite] = []
"""The site of this process: dask calls :func:`build` by its name."""


def enter(site: WorkerSite) -> None:
    """Make this the site of the process."""
    _current[:] = [site]


def build(request: dict[str, Any]) -> dict[str, Any]:
    """What a client submits. Returns a BuildReply as plain values."""
    if not _current:
        return BuildReply("declined", "it is not a worker of imagebuild").as_data()
    return _current[0].build(request_of(request)).as_data()
