"""Runs a farm's scheduler: dask's, with settings that suit builds.

A task that was lost with its worker is not run again by dask: the ledger decides that. A worker that
says nothing is gone after a lease of the ledger, not only after minutes.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable

import dask
from distributed import Scheduler

from imagebuild.errors import HostError
from imagebuild.farm.security import FarmKeys
from imagebuild.ledger.claims import LEASE
from imagebuild.printable import one_line
from imagebuild.project.farm_address import host_and_port

DASHBOARD = "imagebuild-dashboard"
"""The scheduler's metadata with the address of its web page."""
_NOWHERE = "127.0.0.1:0"
"""dask serves facts about itself by HTTP in any case: not to other machines."""
_SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-ttl": f"{LEASE:.0f}s",
    "distributed.scheduler.work-stealing": False,
    "distributed.comm.timeouts.tcp": f"{LEASE:.0f}s",
}


def run(address: str, keys: FarmKeys | None, dashboard: str | None, ready: Callable[[str, str], None]) -> None:
    """Serve until SIGTERM or SIGINT. ``dashboard`` is ``HOST:PORT`` for dask's web page, which has no
    password. ``ready`` is called with the scheduler's address and that of the page, if any. Raises
    HostError.
    """
    dask.config.set(_SETTINGS)
    logging.getLogger("distributed").setLevel(logging.WARNING)
    asyncio.run(_serve(address, keys, dashboard, ready))


async def _serve(address: str, keys: FarmKeys | None, dashboard: str | None, ready: Callable[[str, str], None]) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    host, port = host_and_port(address)
    scheduler = Scheduler(
        host=host,
        port=port,
        protocol=address.partition("://")[0],
        security=keys.security() if keys else None,
        dashboard=dashboard is not None,
        dashboard_address=dashboard or _NOWHERE,
    )
    try:
        await scheduler
    except (OSError, RuntimeError, ValueError) as error:
        raise HostError(
            f"cannot serve at {address}: {one_line(str(error))}", "does another scheduler run there?"
        ) from error
    page = f"http://{dashboard}/status" if dashboard else ""
    scheduler.set_metadata(keys=[DASHBOARD], value=page)
    ready(scheduler.address, page)
    try:
        await stopped.wait()
    finally:
        await scheduler.close()
