"""Runs a worker of a farm: dask's worker for builds, watched by dask's nanny.

This process is the nanny. The worker is a process below it; a build is a process below that one, and
ends with it. SIGTERM drains: the worker takes nothing new, and what it has ends or is handed back.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
from distributed import Nanny, Worker
from distributed.core import Status, rpc
from distributed.diagnostics.plugin import WorkerPlugin

from imagebuild import log
from imagebuild.build import engine
from imagebuild.errors import HostError
from imagebuild.farm import site as sites
from imagebuild.farm.offer import METRIC, WorkerOffer, resources
from imagebuild.farm.settings import FarmPlace
from imagebuild.farm.shared import opened
from imagebuild.farm.site import WorkerSite
from imagebuild.ledger.address import LedgerAddress
from imagebuild.ledger.ledger import Ledger
from imagebuild.log import logger
from imagebuild.printable import one_line
from imagebuild.remote.opening import RemoteSettings
from imagebuild.store.store import Store

_CONNECTING = "30s"
_STARTING = "5m"
"""A busy host takes long to start a process that imports all of dask."""
_POLL = 0.2
_CLOSING = 100.0
"""Seconds for builds to clean up after they were interrupted."""


@dataclass(frozen=True)
class WorkerSettings:
    """How a worker works. ``finish`` is how many seconds builds may go on after SIGTERM; ``words`` are
    the options with which a build opens ``remote``.
    """

    place: FarmPlace
    offer: WorkerOffer
    store: Path
    ledger: LedgerAddress
    finish: float
    scratch: Path
    remote: RemoteSettings | None
    words: tuple[str, ...]


@dataclass
class FarmPlugin(WorkerPlugin):
    """Prepares the worker's process for builds, and hands back what it has when it closes."""

    settings: WorkerSettings
    name: str = "imagebuild"
    _site: WorkerSite | None = field(default=None, repr=False)

    async def setup(self, worker: Worker) -> None:
        """Called by dask in the worker's process."""
        log.attach(logging.StreamHandler(sys.stderr))
        logger.handlers[-1].setLevel(logging.WARNING)
        store = Store(self.settings.store)
        holder = f"{self.settings.offer.name} {worker.address}"
        shared = opened(store, self.settings.remote)
        words = self.settings.words
        site = WorkerSite(store, Ledger(self.settings.ledger), shared, holder, worker.log_event, words)
        self._site = site
        sites.enter(site)
        worker.metrics[METRIC] = self._offer
        worker.handlers["imagebuild_drain"] = self.drain
        worker.handlers["imagebuild_refused"] = _refused

    async def teardown(self, worker: Worker) -> None:
        """Called by dask when the worker closes, also because it has lost its scheduler."""
        site = self._site
        if site is not None:
            site.draining = site.handing_back = True
            await _ended(site, _CLOSING)
            site.ledger.close()
            site.shared.close()

    async def drain(self, finish: float) -> None:
        """Take nothing new, wait until the builds have ended, and hand back those that take longer."""
        site = self._site
        assert site is not None
        site.draining = True
        await _ended(site, finish)
        site.handing_back = True
        await _ended(site, _CLOSING)

    def _offer(self, _worker: Worker) -> Mapping[str, Any]:
        offer = self.settings.offer.as_data()
        return {**offer, "draining": self._site is not None and self._site.draining}


def _refused(reason: str) -> None:
    """A client says why this worker gets no work."""
    logger.warning("this worker gets no work: %s", reason)


async def _ended(site: WorkerSite, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while site.running and loop.time() < until:
        await asyncio.sleep(_POLL)


def run(settings: WorkerSettings, ready: Callable[[], None]) -> None:
    """Work until SIGTERM or SIGINT; ``ready`` is called when the scheduler knows the worker.

    Raises HostError if the scheduler cannot be reached, or goes away.
    """
    engine.clear_dead_runs(Store(settings.store))
    dask.config.set({"distributed.comm.timeouts.connect": _CONNECTING})
    asyncio.run(_work(settings, ready))


async def _work(settings: WorkerSettings, ready: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    offer, keys = settings.offer, settings.place.keys
    nanny = Nanny(
        settings.place.address,
        name=offer.name,
        nthreads=offer.jobs,
        resources=resources(offer.room, offer.jobs),
        memory_limit=0,  # builds are processes of their own, and the resources limit them
        security=keys.security() if keys else None,
        local_directory=str(settings.scratch),
        plugins=(FarmPlugin(settings),),
        dashboard=False,
        dashboard_address="127.0.0.1:0",  # dask serves facts about itself by HTTP in any case
        host=None if keys else _own_host(settings.place.address),
        silence_logs=logging.WARNING,
        death_timeout=_STARTING,
    )
    try:
        await nanny
    except Exception as error:  # dask raises what it gets, such as RuntimeError
        raise HostError(f"the worker cannot start: {one_line(str(error))}", "see the messages above") from error
    ready()
    ending = asyncio.create_task(nanny.finished())
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not stopped.is_set():
        stopping.cancel()
        raise HostError("the scheduler has gone, and this worker with it", "start it again when the scheduler runs")
    if nanny.status == Status.running:
        await _drained(nanny, settings.finish, stopped)
    await nanny.close(timeout=_CLOSING, reason="stopped")
    ending.cancel()


async def _drained(nanny: Nanny, finish: float, stopped: asyncio.Event) -> None:
    """Drain the worker; a second signal ends the waiting."""
    stopped.clear()
    again = asyncio.create_task(stopped.wait())

    async def drain() -> None:
        async with rpc(nanny.worker_address, connection_args=nanny.connection_args) as worker:
            await worker.imagebuild_drain(finish=finish)

    draining = asyncio.create_task(drain())
    await asyncio.wait({again, draining}, return_when=asyncio.FIRST_COMPLETED)
    again.cancel()
    draining.cancel()


def _own_host(address: str) -> str | None:
    """Without TLS a worker listens on this machine only, if its scheduler does."""
    from imagebuild.project.farm_address import host_and_port, is_loopback

    host, _ = host_and_port(address)
    return "127.0.0.1" if is_loopback(host) else None
